/** Completes commands: shows the matching commands above the question box while a "/" command is typed. */

import { byId, element } from "./dom.js";
import { focusQuestion, questionText, setQuestionText } from "./question-box.js";
import { state } from "./state.js";

/** Index of the selected command in the menu. */
let selected = 0;

/** Splits "/name arguments". Returns null for a text that is not a command. */
export function parseCommand(text) {
  const match = /^\/([\w-]+)\s*([\s\S]*)$/.exec(text);
  return match && { name: match[1].toLowerCase(), args: match[2] };
}

function matchingCommands() {
  const typed = /^\/([\w-]*)$/.exec(questionText());
  return typed ? state.config.commands.filter(({ name }) => name.startsWith(typed[1].toLowerCase())) : [];
}

/** Shows the commands that match the typed text, and hides the menu if none does. */
export function drawCommandMenu({ selectFirst = false } = {}) {
  const found = matchingCommands();
  selected = selectFirst ? 0 : Math.min(selected, Math.max(found.length - 1, 0));
  const menu = byId("commands");
  menu.hidden = !found.length;
  menu.replaceChildren(...found.map(commandRow));
  if (found.length) byId("question").setAttribute("aria-activedescendant", `command-${selected}`);
  else byId("question").removeAttribute("aria-activedescendant");
  menu.children[selected]?.scrollIntoView({ block: "nearest" });
}

export function hideCommandMenu() {
  byId("commands").hidden = true;
}

function commandRow(command, index) {
  const row = element("li", { id: `command-${index}` }, element("b", { textContent: `/${command.name}` }),
    element("i", { textContent: command.usage }), element("span", { textContent: command.summary }));
  row.setAttribute("role", "option");
  row.setAttribute("aria-selected", String(index === selected));
  // On mousedown, because the blur of the question box hides the menu before a click arrives.
  row.onmousedown = (event) => {
    event.preventDefault();
    complete(command);
  };
  return row;
}

function complete(command) {
  setQuestionText(`/${command.name}${command.usage ? " " : ""}`);
  drawCommandMenu();
  focusQuestion();
}

/** Handles a key for the open menu. Returns false if the key is not for the menu. */
export function handleMenuKey(event) {
  const found = matchingCommands();
  if (!found.length || byId("commands").hidden) return false;
  const isComplete = questionText() === `/${found[selected].name}`;
  if (event.key === "ArrowDown") selected = (selected + 1) % found.length;
  else if (event.key === "ArrowUp") selected = (selected + found.length - 1) % found.length;
  else if (event.key === "Tab" || (event.key === "Enter" && !isComplete)) complete(found[selected]);
  else if (event.key !== "Escape") return false;
  event.preventDefault();
  if (event.key === "Escape") hideCommandMenu();
  else drawCommandMenu();
  return true;
}
