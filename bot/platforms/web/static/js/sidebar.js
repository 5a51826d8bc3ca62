/** Shows the list of conversations and the user's name, and opens the sidebar on a phone. */

import { request, saveUserName, userName } from "./api.js";
import { byId, element, orNotice } from "./dom.js";
import { forgetDrafts } from "./drafts.js";
import {
  DEFAULT_NAME, EARLIER, NEW_CONVERSATION, NOTHING_FOUND, NO_CONVERSATIONS, PINNED, THIS_WEEK, TODAY, YESTERDAY, YOUR_NAME,
} from "./user-messages.js";
import { runningTurnsOf, state } from "./state.js";

const DAY_MS = 86_400_000;
const MAX_NAME_CHARS = 40;
/** Milliseconds without a key after which a search starts. */
const SEARCH_AFTER_MS = 250;

export async function loadThreads() {
  state.threads = (await request("api/threads")).threads;
  drawThreads();
}

/** Shows only the conversations that contain the text of the search box. */
async function searchThreads() {
  const search = byId("search").value.trim();
  const found = search ? (await request(`api/threads?${new URLSearchParams({ search })}`)).threads : null;
  if (search !== byId("search").value.trim()) return;
  state.found = found;
  drawThreads();
}

/** Moves a conversation to the top of the list, or adds it. A known title stays. */
export function putThread(thread) {
  const known = state.threads.find(({ id }) => id === thread.id);
  state.threads = [{ ...thread, ...(known && { title: known.title, pinned: known.pinned }) }, ...state.threads.filter((one) => one !== known)];
  drawThreads();
}

/** Gives a conversation another title. Without a title it has no question left, so it is not listed. */
export function retitleThread({ id, title }) {
  state.threads = state.threads
    .map((thread) => (thread.id === id ? { ...thread, title } : thread))
    .filter((thread) => thread.title);
  drawThreads();
}

/** Pins a conversation to the top of the list, or undoes that. */
export function pinThread({ id, pinned }) {
  state.threads = state.threads.map((thread) => (thread.id === id ? { ...thread, pinned } : thread));
  drawThreads();
}

/** Marks a conversation that is not open as running or unread, after an event about one of its messages. */
export function markOtherThread(kind, message) {
  if (kind !== "message" || message.role === "command") return;
  const running = runningTurnsOf(message.thread);
  if (message.role === "user" && !message.final) running.add(message.turn);
  if (message.role === "user" && message.final) running.delete(message.turn);
  if (message.role === "assistant" && message.final) {
    running.delete(message.turn);
    state.unread.add(message.thread);
  }
  drawThreads();
}

export function drawThreads() {
  const list = byId("threads");
  list.replaceChildren();
  const threads = state.found ?? state.threads;
  if (!threads.length) list.append(element("p", { textContent: state.found ? NOTHING_FOUND : NO_CONVERSATIONS }));
  let heading = "";
  for (const thread of [...threads.filter(({ pinned }) => pinned), ...threads.filter(({ pinned }) => !pinned)]) {
    const group = thread.pinned ? PINNED : age(thread.at);
    if (group !== heading) list.append(element("h2", { textContent: (heading = group) }));
    list.append(threadLink(thread));
  }
  const open = state.threads.find(({ id }) => id === state.thread);
  byId("title").textContent = open?.title || NEW_CONVERSATION;
  byId("thread-actions").hidden = !open;
  byId("pin").setAttribute("aria-pressed", String(Boolean(open?.pinned)));
  byId("export").href = `api/threads/${state.thread}/export`;
  document.title = open ? `${open.title} · Parley` : "Parley";
}

function threadLink(thread) {
  const title = element("span", { textContent: thread.title, dir: "auto" });
  const link = element("a", { className: "thread-link", href: `#${thread.id}`, title: thread.title }, title);
  if (thread.id === state.thread) link.setAttribute("aria-current", "page");
  if (runningTurnsOf(thread.id).size) link.classList.add("running");
  else if (state.unread.has(thread.id)) link.classList.add("unread");
  return link;
}

/** Returns the heading for conversations of this time. */
function age(at) {
  const midnight = new Date();
  midnight.setHours(0, 0, 0, 0);
  const days = (midnight - new Date(at)) / DAY_MS;
  if (days <= 0) return TODAY;
  if (days <= 1) return YESTERDAY;
  return days <= 7 ? THIS_WEEK : EARLIER;
}

// --- the sidebar on a phone

export const isSidebarOpen = () => document.body.classList.contains("sidebar-open");

export function openSidebar(open) {
  document.body.classList.toggle("sidebar-open", open);
  byId("backdrop").hidden = !open;
  byId("menu").setAttribute("aria-expanded", String(open));
}

// --- the user's name

function drawName() {
  byId("user").querySelector(".user-name").textContent = userName();
  byId("user").querySelector(".avatar").textContent = userName().slice(0, 1).toUpperCase();
}

/** Shows who is signed in. A name that comes from the sign-in cannot be changed here. */
export function drawUser() {
  const { name, admin, sign_out } = state.config.user;
  byId("user").disabled = Boolean(name);
  if (name) byId("user").title = name;
  byId("admin-page").hidden = !admin;
  byId("sign-out").hidden = !sign_out;
  drawName();
}

/** Replaces the name with a text box until Enter, Escape or a click elsewhere. */
function editName() {
  const shown = byId("user");
  const value = userName() === DEFAULT_NAME ? "" : userName();
  const input = element("input", { value, placeholder: YOUR_NAME, maxLength: MAX_NAME_CHARS });
  input.setAttribute("aria-label", YOUR_NAME);
  // Removing the focused input fires blur, so finish would run twice.
  let done = false;
  const finish = (save) => {
    if (done) return;
    done = true;
    if (save) saveUserName(input.value.trim());
    input.replaceWith(shown);
    drawName();
  };
  input.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key === "Enter" || event.key === "Escape") {
      // Otherwise Enter would also press the button that receives the focus.
      event.preventDefault();
      finish(event.key === "Enter");
      shown.focus();
    }
  };
  input.onblur = () => finish(true);
  shown.replaceWith(input);
  input.focus();
}

export function setUpSidebar() {
  drawName();
  let timer = 0;
  byId("search").oninput = () => {
    clearTimeout(timer);
    timer = setTimeout(() => orNotice(searchThreads), SEARCH_AFTER_MS);
  };
  byId("user").onclick = editName;
  byId("sign-out").addEventListener("submit", forgetDrafts);
  byId("menu").onclick = () => openSidebar(!isSidebarOpen());
  byId("backdrop").onclick = () => openSidebar(false);
}
