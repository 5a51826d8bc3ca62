/** Keeps the unsent text of each conversation, and the ID of the one without a message, until the tab is closed. */

import { randomId } from "./dom.js";
import { state } from "./state.js";

/** A sign-in that expired leaves the texts. Whoever signs in under another name does not read them. */
const keyOf = (thread) => `draft:${state.config.user.name}:${thread}`;
const NEW_THREAD = "new-conversation";

/** Conversation ID -> unsent text, including texts for which the storage of the browser has no room. */
const drafts = new Map();

export const draftOf = (thread) => drafts.get(thread) ?? sessionStorage.getItem(keyOf(thread)) ?? "";

/** Keeps the text of a conversation; an empty text removes it. */
export function keepDraft(thread, text) {
  drafts.set(thread, text);
  sessionStorage.removeItem(keyOf(thread));
  if (text) store(keyOf(thread), text);
}

/** Forgets every text, so that the next person who signs in does not read it. */
export function forgetDrafts() {
  drafts.clear();
  sessionStorage.clear();
}

/** Returns the ID of the conversation in which nothing has been sent yet, so that "New conversation" finds its draft. */
export function newThread() {
  const kept = sessionStorage.getItem(NEW_THREAD);
  const thread = kept && !state.threads.some(({ id }) => id === kept) ? kept : randomId();
  store(NEW_THREAD, thread);
  return thread;
}

/** Notes that something is sent in a conversation. Returns a function that undoes this, for when it was refused. */
export function beginThread(thread) {
  if (sessionStorage.getItem(NEW_THREAD) !== thread) return () => {};
  sessionStorage.removeItem(NEW_THREAD);
  return () => { if (!sessionStorage.getItem(NEW_THREAD)) store(NEW_THREAD, thread); };
}

function store(key, value) {
  try {
    sessionStorage.setItem(key, value);
  } catch {
    // The storage is full. The text stays in this page only.
  }
}
