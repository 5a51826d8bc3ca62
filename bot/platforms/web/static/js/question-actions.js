/** Handles the buttons below a question: edit it, in a branch of the conversation or in place, or delete it. */

import { request } from "./api.js";
import { button, byId, element, orNotice } from "./dom.js";
import { showMessage } from "./log.js";
import { ASK_IN_BRANCH, CANCEL, CONFIRM_DELETE, DELETE, EDIT_BOX, REPLACE_QUESTION } from "./user-messages.js";
import { RetryableRequest } from "./retryable-request.js";
import { loadThreads } from "./sidebar.js";
import { state } from "./state.js";

const CONFIRM_END_MS = 300;
const branching = new RetryableRequest();

export function setUpQuestionActions() {
  byId("log").addEventListener("click", (event) => {
    const clicked = event.target.closest("[data-question]");
    const message = state.messages.get(clicked?.closest(".msg")?.id);
    if (!message) return;
    if (clicked.dataset.question === "edit") openEditor(message);
    else deleteQuestion(clicked, message);
  });
}

/** Deletes on the second click; the first click asks for confirmation. */
function deleteQuestion(clicked, message) {
  if (clicked.dataset.confirming) {
    orNotice(async () => {
      await request(`api/turns/${message.turn}/forget`, {});
      await loadThreads();
    });
    return;
  }
  clicked.dataset.confirming = "yes";
  clicked.textContent = CONFIRM_DELETE;
  // The label gets shorter and the Edit button moves, so a click on Edit must end before that.
  clicked.onblur = () => setTimeout(() => {
    delete clicked.dataset.confirming;
    clicked.textContent = DELETE;
  }, CONFIRM_END_MS);
}

/** Asks an edited question in a conversation of its own, which has what came before it, and opens that. */
async function askInBranch({ turn }, text) {
  location.hash = await branching.send(JSON.stringify({ turn, text }), async (thread) => {
    await request(`api/turns/${turn}/branch`, { thread, text });
    return thread;
  });
}

function openEditor(message) {
  const body = byId(message.id).querySelector(".body");
  if (!body) return;
  const box = element("textarea", { value: body.textContent, rows: 3, dir: "auto" });
  box.setAttribute("aria-label", EDIT_BOX);
  const branch = element("button", { type: "submit", textContent: ASK_IN_BRANCH });
  const replace = button({ textContent: REPLACE_QUESTION });
  const close = () => {
    form.remove();
    // The message may have changed, or be deleted, since the editor was opened.
    const latest = state.messages.get(message.id);
    if (latest) showMessage(latest);
  };
  const cancel = button({ textContent: CANCEL, onclick: close });
  const form = element("form", { className: "editor" }, box, element("div", {}, branch, replace, cancel));
  /** Sends the text once, however often Enter is pressed, and closes the editor. */
  const send = (sending) => orNotice(async () => {
    if (form.inert) return;
    form.inert = true;
    try {
      await sending(message, box.value);
    } finally {
      form.inert = false;
    }
    close();
  });
  form.onsubmit = (event) => {
    event.preventDefault();
    send(askInBranch);
  };
  replace.onclick = () => send(({ turn }, text) => request(`api/turns/${turn}/change`, { text }));
  box.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      form.requestSubmit();
    }
    if (event.key === "Escape") close();
  };
  body.replaceWith(form);
  box.focus();
}
