/** Shows what an empty page offers: the steps that are left after a start, and questions that the documents answer. */

import { request } from "./api.js";
import { send } from "./composer.js";
import { button, byId, element, icon, orNotice } from "./dom.js";
import { DONE, OPEN, STEP_TITLES } from "./user-messages.js";
import { state } from "./state.js";
import { chooseDocuments } from "./uploads.js";

/** Milliseconds between two looks at what is left to do. */
const POLL_MS = 2000;
const DISMISSED = "steps-dismissed";

/** Timer of the next look; 0 if none is planned. */
let timer = 0;

/** Shows what the server offers now, and looks again while something is left to do and the page is empty. */
export async function drawWelcome() {
  clearTimeout(timer);
  timer = 0;
  if (!state.isEmpty || document.hidden) return;
  const offered = await request("api/welcome");
  byId("adding-sample").hidden = !offered.adding_sample;
  byId("add-documents").hidden = Boolean(offered.documents) || offered.adding_sample;
  byId("own-documents").hidden = !byId("add-documents").hidden;
  byId("suggestions").hidden = !offered.questions.length;
  drawQuestions(offered.questions);
  const isLeft = drawSteps(offered.steps);
  if (isLeft || offered.adding_sample || !offered.documents) timer = setTimeout(() => orNotice(drawWelcome), POLL_MS);
}

/** Draws the questions, unless they are shown already: a button that is replaced loses the focus. */
function drawQuestions(questions) {
  const chips = byId("chips");
  if ([...chips.children].map((chip) => chip.textContent).join("\n") === questions.join("\n")) return;
  chips.replaceChildren(...questions.map((text) =>
    button({ textContent: text, dir: "auto", onclick: () => orNotice(() => send(text)) })));
}

/** Draws the steps of the set-up. Returns whether some are shown and not done. */
function drawSteps(steps) {
  const isLeft = steps.some(({ done }) => !done) && !localStorage.getItem(DISMISSED);
  byId("steps").hidden = !isLeft;
  byId("no-model").hidden = state.config.writes || isLeft;
  byId("steps").querySelector("ol").replaceChildren(...steps.map(stepElement));
  return isLeft;
}

function stepElement({ name, done, detail }) {
  const mark = element("span", { className: "step-mark", innerHTML: done ? icon("check") : "" });
  const text = element("div", {}, element("b", { textContent: STEP_TITLES[name] }), element("p", { textContent: detail }));
  const row = element("li", {}, mark, text, element("span", { className: "hidden", textContent: done ? DONE : OPEN }));
  row.classList.toggle("done", done);
  return row;
}

export function setUpWelcome() {
  byId("choose-documents").onclick = chooseDocuments;
  byId("address-form").onsubmit = (event) => {
    event.preventDefault();
    const address = byId("address").value.trim();
    if (address) orNotice(() => send(`/ingest ${address}`));
    byId("address").value = "";
  };
  byId("dismiss-steps").onclick = () => {
    localStorage.setItem(DISMISSED, "yes");
    orNotice(drawWelcome);
  };
  document.addEventListener("welcome", () => orNotice(drawWelcome));
  document.addEventListener("visibilitychange", () => { if (state.config.commands.length) orNotice(drawWelcome); });
}
