/** Handles the buttons of the open conversation: pin, rename and delete. Saving it as a file is a link. */

import { request } from "./api.js";
import { startThread } from "./conversation.js";
import { byId, element, orNotice } from "./dom.js";
import { CONFIRM_DELETE_THREAD, CONVERSATION_TITLE } from "./user-messages.js";
import { loadThreads } from "./sidebar.js";
import { state } from "./state.js";

const MAX_TITLE_CHARS = 80;

const act = (action, body = {}) => orNotice(() => request(`api/threads/${state.thread}/${action}`, body));

const isPinned = () => byId("pin").getAttribute("aria-pressed") === "true";

/** Shows a text box in place of the title until Enter, Escape or a click elsewhere. */
function rename() {
  const shown = byId("title");
  const before = shown.textContent;
  const input = element("input", { className: "title-input", value: before, dir: "auto", maxLength: MAX_TITLE_CHARS });
  input.setAttribute("aria-label", CONVERSATION_TITLE);
  // Removing the focused input fires blur, so finish would run twice.
  let done = false;
  const finish = (save) => {
    if (done) return;
    done = true;
    const title = input.value.trim();
    input.remove();
    shown.hidden = false;
    if (save && title && title !== before) act("rename", { title });
  };
  input.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key !== "Enter" && event.key !== "Escape") return;
    // Otherwise Enter would also press the button that receives the focus.
    event.preventDefault();
    finish(event.key === "Enter");
    byId("rename").focus();
  };
  input.onblur = () => finish(true);
  shown.hidden = true;
  shown.after(input);
  input.select();
}

/** Deletes on the second click; the first click asks for confirmation. */
async function deleteThread() {
  const control = byId("delete");
  if (!control.dataset.confirming) {
    control.dataset.confirming = "yes";
    control.lastElementChild.textContent = CONFIRM_DELETE_THREAD;
    return;
  }
  resetDelete();
  const { thread } = state;
  await orNotice(async () => {
    await request(`api/threads/${thread}/delete`, {});
    await loadThreads();
    if (thread === state.thread) startThread();
  });
}

function resetDelete() {
  delete byId("delete").dataset.confirming;
  byId("delete").lastElementChild.textContent = "";
}

export function setUpThreadActions() {
  byId("pin").onclick = () => act(isPinned() ? "unpin" : "pin");
  byId("rename").onclick = rename;
  byId("delete").onclick = deleteThread;
  byId("delete").onblur = resetDelete;
}
