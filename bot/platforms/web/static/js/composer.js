/** Sends what is written in the question box: a question with its attachments, or a command. */

import { request } from "./api.js";
import { announce, byId, isPhone, orNotice, randomId, showNotice } from "./dom.js";
import { drawCommandMenu, handleMenuKey, hideCommandMenu, parseCommand } from "./command-menu.js";
import { showUnsent } from "./log.js";
import { ANNOUNCE_COMMAND, ANNOUNCE_SEARCHING, SHORT_PLACEHOLDER, questionTooLong } from "./user-messages.js";
import { questionText, setQuestionText, updateQuestionBox } from "./question-box.js";
import { state } from "./state.js";
import { clearAttachments, ingestAttachments } from "./uploads.js";
import { putThreadInUrl } from "./url-hash.js";

function submit() {
  const text = questionText().trim();
  if (!text && !state.attachments.length) return;
  setQuestionText("");
  drawCommandMenu();
  orNotice(() => send(text));
}

/** Sends a question or a command. Puts the text back into the box if the server refuses it. */
export async function send(text) {
  showNotice("");
  const command = parseCommand(text);
  if (command?.name === "ingest" && state.attachments.length) return ingestAttachments(command.args);
  const limit = state.config.question_limit;
  if (!command && text.length > limit) throw new Error(questionTooLong(text.length, limit));
  const takeBack = showUnsent(text, { isCommand: Boolean(command) });
  putThreadInUrl(state.thread);
  try {
    await (command ? sendCommand(command) : sendQuestion(text));
  } catch (error) {
    takeBack();
    if (!questionText()) setQuestionText(text);
    throw error;
  }
}

async function sendCommand({ name, args }) {
  await request("api/command", { thread: state.thread, command: name, args });
  announce(ANNOUNCE_COMMAND);
}

async function sendQuestion(text) {
  const files = state.attachments.map(({ key }) => key);
  await request("api/ask", { thread: state.thread, id: randomId(), text, files });
  if (files.length) clearAttachments();
  announce(ANNOUNCE_SEARCHING);
}

export function setUpComposer() {
  const box = byId("question");
  if (isPhone()) box.placeholder = SHORT_PLACEHOLDER;
  byId("form").onsubmit = (event) => {
    event.preventDefault();
    submit();
  };
  box.oninput = () => {
    updateQuestionBox();
    drawCommandMenu({ selectFirst: true });
  };
  box.onblur = hideCommandMenu;
  box.onkeydown = (event) => {
    if (event.isComposing || handleMenuKey(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      submit();
    }
  };
}
