/** Creates the elements of messages: questions, answers, command replies, and their sources and buttons. */

import { button, element, icon } from "./dom.js";
import { drawFormulas } from "./formulas.js";
import {
  ACTION_LABELS, DELETE, EDIT, ONLY_YOU, QUESTION, SHOW_PASSAGE, SOURCES, branchTo, shortPage,
} from "./user-messages.js";
import { answersOf, state } from "./state.js";

/** Buttons that show only their icon. */
export const RATINGS = new Set(["up", "down"]);

const LONG_QUESTION_CHARS = 1200;

/** Creates the element of a message. The server has sanitized the HTML of its blocks. */
export function messageElement(message) {
  if (message.role === "user") return questionElement(message);
  return message.role === "command" ? commandElement(message) : answerElement(message);
}

function questionElement(message) {
  const body = element("div", { className: "body", innerHTML: message.blocks.join(""), dir: "auto" });
  if (body.textContent.length > LONG_QUESTION_CHARS) makeScrollable(body);
  const article = element("article", { id: message.id, className: "msg user" }, body);
  if (message.notes.length) {
    article.append(element("p", { className: "attached", innerHTML: icon("clip") }, message.notes.join(", ")));
  }
  article.setAttribute("aria-label", message.author);
  if (message.turn) article.append(questionActions());
  const branches = state.branches.get(message.turn) ?? [];
  if (branches.length) {
    article.append(element("div", { className: "branches" }, ...branches.map((one) => branchLink(one, branchTo))));
  }
  return article;
}

/** Creates a link to a conversation that a branch connects with this one. */
export const branchLink = ({ thread_id: thread, title }, label) =>
  element("a", { className: "branch", href: `#${thread}`, textContent: label(title), dir: "auto" });

/** Limits the height of a long question. The keyboard scrolls it when it has the focus. */
function makeScrollable(body) {
  body.classList.add("clamp");
  body.tabIndex = 0;
  body.setAttribute("role", "group");
  body.setAttribute("aria-label", QUESTION);
}

function questionActions() {
  const bar = element("div", { className: "question-actions" });
  for (const [name, label] of [["edit", EDIT], ["delete", DELETE]]) {
    const control = button({ textContent: label });
    control.dataset.question = name;
    bar.append(control);
  }
  return bar;
}

function answerElement(message) {
  const article = element("article", { id: message.id, className: "msg assistant" });
  article.classList.toggle("final", message.final);
  article.classList.toggle("failed", message.failed);
  const first = answersOf(message.turn)[0];
  if (!first || first.id === message.id) article.append(byline(message));
  article.append(bodyElement(message));
  if (message.sources.length) article.append(sourceList(message));
  if (message.notes.length) {
    article.append(element("p", { className: "notes", textContent: message.notes.join(" · ") }));
  }
  if (message.actions.length) article.append(actionBar(message));
  return article;
}

function commandElement(message) {
  const card = element("div", { className: "card" });
  card.classList.toggle("failed", message.failed);
  if (message.blocks.length) card.append(bodyElement(message));
  if (message.sources.length) card.append(sourceList(message));
  if (message.file) card.append(fileElement(message.file));
  if (message.notes.length) {
    const line = element("div", { className: "notes" });
    if (!message.final) line.append(dots());
    line.append(message.notes.join("\n"));
    card.append(line);
  }
  if (message.actions.length) card.append(actionBar(message));
  return element("article", { id: message.id, className: "msg command" }, byline(message), card);
}

function byline(message) {
  const at = new Date(message.at);
  const text = at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const time = element("time", { dateTime: message.at, textContent: text, title: at.toLocaleString() });
  const line = element("div", { className: "byline" }, logo(), element("b", { textContent: message.author }), time);
  if (message.private) line.append(element("span", { textContent: ONLY_YOU }));
  return line;
}

/** Creates the text of a message, with one child for each block so that a patch can replace single blocks. */
export function bodyElement(message) {
  const body = element("div", { className: "body" });
  for (const block of message.blocks) body.append(blockElement(block));
  return body;
}

/** Creates the element of a block. Its direction follows its first letters. */
export function blockElement(block) {
  const created = element("div", { innerHTML: block, dir: "auto" });
  drawFormulas(created);
  return created;
}

/** Creates a link to download a command's file, and the picture if the file is one. */
export function fileElement(file) {
  const link = element("a", { className: "download", href: file.url, download: file.name, innerHTML: icon("file") },
    file.name);
  const picture = element("img", { className: "picture", src: file.url, alt: file.name });
  return file.image ? element("div", {}, picture, link) : link;
}

function sourceList(message) {
  const list = element("ol", { className: "sources" });
  list.setAttribute("aria-label", SOURCES);
  for (const source of message.sources) {
    const place = [source.heading.at(-1), source.page && shortPage(source.page_label || source.page)].filter(Boolean).join(", ");
    const title = element("span", { className: "source-title", textContent: source.title, dir: "auto" });
    if (place && place !== source.title) title.append(element("small", { textContent: `  ${place}` }));
    const number = element("span", { className: "source-number", textContent: source.n });
    const control = button({ title: SHOW_PASSAGE }, number, title);
    control.dataset.n = source.n;
    list.append(element("li", {}, control));
  }
  return list;
}

function actionBar(message) {
  const bar = element("div", { className: "actions" });
  const names = message.role === "assistant" && message.final ? [...message.actions, "copy"] : message.actions;
  for (const name of names) {
    const text = ACTION_LABELS[name];
    const label = element("span", { className: RATINGS.has(name) ? "hidden" : "label", textContent: text });
    const control = button({ title: text, innerHTML: icon(name) }, label);
    control.dataset.action = name;
    if (RATINGS.has(name)) control.setAttribute("aria-pressed", String(state.ratings.get(message.turn) === name));
    bar.append(control);
  }
  return bar;
}

/** Creates the line that shows that a turn is being answered while it has no message yet. */
export function waitingLine(turn) {
  const line = element("div", { className: "waiting" }, logo(), dots(), element("span"));
  line.dataset.waiting = turn;
  return line;
}

const logo = () => element("img", { src: "static/icon.svg", alt: "", width: 22, height: 22 });

const dots = () => element("span", { className: "dots", innerHTML: "<i></i><i></i><i></i>" });
