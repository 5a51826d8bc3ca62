/** Sends what is written in the question box: a question with its attachments, or a command. */

import { request } from "./api.js";
import { announce, byId, isPhone, orNotice, showNotice } from "./dom.js";
import { beginThread } from "./drafts.js";
import { drawCommandMenu, handleMenuKey, hideCommandMenu, parseCommand } from "./command-menu.js";
import { showUnsent } from "./log.js";
import { ANNOUNCE_COMMAND, ANNOUNCE_SEARCHING, SHORT_PLACEHOLDER, questionTooLong } from "./user-messages.js";
import { putBack, questionText, setQuestionText, updateQuestionBox } from "./question-box.js";
import { RetryableRequest } from "./retryable-request.js";
import { state } from "./state.js";
import { ingestAttachments, removeAttachments } from "./uploads.js";
import { putThreadInUrl } from "./url-hash.js";

const asking = new RetryableRequest();

function submit() {
  const text = questionText().trim();
  if (!text && !state.attachments.length) return;
  setQuestionText("");
  drawCommandMenu();
  orNotice(() => send(text));
}

/** Sends a question or a command. Puts the text back into the box if the server refuses it or cannot be reached. */
export async function send(text) {
  showNotice("");
  const { thread } = state;
  const undoBegin = beginThread(thread);
  try {
    await sendFromBox(text);
  } catch (error) {
    undoBegin();
    putBack(text, thread);
    throw error;
  }
}

async function sendFromBox(text) {
  const command = parseCommand(text);
  if (command?.name === "ingest" && state.attachments.length) return ingestAttachments(command.args);
  const limit = state.config.question_limit;
  if (!command && text.length > limit) throw new Error(questionTooLong(text.length, limit));
  const takeBack = showUnsent(text, { isCommand: Boolean(command) });
  putThreadInUrl(state.thread);
  let isAwaited = false;
  try {
    isAwaited = !(await (command ? sendCommand(command) : sendQuestion(text)));
  } finally {
    // The message that the event stream brings replaces an accepted text.
    if (!isAwaited) takeBack();
  }
}

async function sendCommand({ name, args }) {
  await request("api/command", { thread: state.thread, command: name, args });
  announce(ANNOUNCE_COMMAND);
}

/** Sends a question. Returns whether the server had accepted it before, so that it is shown already. */
async function sendQuestion(text) {
  const files = state.attachments.map(({ key }) => key);
  const question = { thread: state.thread, text, files };
  const { turn } = await asking.send(JSON.stringify(question), (id) => request("api/ask", { ...question, id }));
  removeAttachments(files);
  announce(ANNOUNCE_SEARCHING);
  return !turn;
}

export function setUpComposer() {
  const box = byId("question");
  const placeholder = box.placeholder;
  const fitPlaceholder = () => { box.placeholder = isPhone() ? SHORT_PLACEHOLDER : placeholder; };
  fitPlaceholder();
  addEventListener("resize", fitPlaceholder);
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
