/** Opens a conversation, loads its messages, and applies the events that follow. */

import { RETRY_MS, mayWorkLater, request } from "./api.js";
import { byId, isPhone, orNotice, showNotice } from "./dom.js";
import { newThread } from "./drafts.js";
import { branchLink } from "./message-elements.js";
import { announceAnswer, isInLog, patchMessage, prependToLog, removeMessage, replaceLog, showMessage } from "./log.js";
import { closePassage } from "./passage.js";
import { focusQuestion, showDraft } from "./question-box.js";
import { scrollToEnd, scrollToStart } from "./scroll.js";
import { drawThreads, markOtherThread, openSidebar, pinThread, putThread, retitleThread } from "./sidebar.js";
import { state } from "./state.js";
import { clearThreadInUrl, threadInUrl } from "./url-hash.js";
import { branchOf } from "./user-messages.js";

/** How far above the visible messages the earlier ones are loaded before the reader gets there. */
const EARLIER_MARGIN = "600px 0px 0px 0px";

/** Number of loads so far. A load that is not the latest when its response arrives is ignored. */
let loads = 0;
/** ID of the conversation whose messages are in the log. */
let shownThread = null;
/** ID of the latest event that the loaded messages already contain. */
let loadedEvent = null;
/** Events that arrived during a load; null while none is in progress. */
let queuedEvents = null;
/** Whether earlier messages are being loaded. */
let isLoadingEarlier = false;

async function openThread(id) {
  state.thread = id;
  showDraft();
  state.unread.delete(id);
  openSidebar(false);
  showNotice("");
  closePassage();
  drawThreads();
  await reloadThread();
  if (!isPhone()) focusQuestion();
}

/**
 * Loads the messages of the open conversation, then applies the events that arrived meanwhile. Tries again until that
 * works: the events that a failed load was to make up for do not come again.
 */
export async function reloadThread() {
  const load = ++loads;
  queuedEvents = [];
  let response;
  try {
    response = await request(`api/threads/${state.thread}`);
  } catch (error) {
    if (load !== loads) return;
    showFailedLoad(error);
    if (mayWorkLater(error)) setTimeout(() => { if (load === loads) reloadThread(); }, RETRY_MS);
    return;
  }
  if (load !== loads) return;
  const events = queuedEvents;
  queuedEvents = null;
  loadedEvent = response.event;
  takePage(response);
  replaceLog(response.messages);
  shownThread = state.thread;
  events.forEach(applyEvent);
  if (state.isEmpty) scrollToStart();
  else scrollToEnd();
}

/** Remembers what a page of messages says beside its messages, and offers the earlier ones. */
function takePage({ earlier, ratings, origin, branches }) {
  state.earlier = earlier;
  state.origin = origin;
  state.branches.clear();
  for (const branch of branches) state.branches.set(branch.turn_id, [...(state.branches.get(branch.turn_id) ?? []), branch]);
  showOrigin();
  for (const [turn, value] of Object.entries(ratings)) state.ratings.set(turn, value > 0 ? "up" : "down");
  byId("earlier").hidden = !earlier;
}

/** Links to the conversation that this one is a branch of. */
function showOrigin() {
  const line = byId("origin");
  line.hidden = !state.origin;
  line.replaceChildren(...(state.origin ? [branchLink(state.origin, branchOf)] : []));
}

/** Loads the messages before the oldest one in the log. */
async function loadEarlier() {
  if (!state.earlier || isLoadingEarlier) return;
  isLoadingEarlier = true;
  const { thread, earlier } = state;
  try {
    const response = await request(`api/threads/${thread}?before=${earlier}`);
    if (thread !== state.thread || earlier !== state.earlier) return;
    takePage(response);
    prependToLog(response.messages);
  } finally {
    isLoadingEarlier = false;
  }
}

/** Says why a conversation could not be loaded. Messages of another conversation do not stay in the log. */
function showFailedLoad(error) {
  queuedEvents = null;
  if (shownThread !== state.thread) {
    loadedEvent = null;
    shownThread = state.thread;
    takePage({ earlier: "", ratings: {}, origin: null, branches: [] });
    replaceLog([]);
  }
  showNotice(error.message);
}

/** Applies an event of the stream: { kind, id, data }. */
export function applyEvent(event) {
  const { kind, data } = event;
  if (kind === "thread") return putThread(data);
  if (kind === "title") return retitleThread(data);
  if (kind === "pin") return pinThread(data);
  if (data.thread !== state.thread) return markOtherThread(kind, data);
  if (queuedEvents) return queuedEvents.push(event);
  if (isLoaded(event.id)) return;
  if (kind === "message") {
    if (!isInLog(data)) return;
    const before = showMessage(data);
    drawThreads();
    announceAnswer(data, before);
  } else if (kind === "patch") {
    patchMessage(data);
  } else if (kind === "gone") {
    removeMessage(data.id);
    drawThreads();
  }
}

/** Returns whether the loaded messages contain an event. IDs are EPOCH-NUMBER; numbers compare within one epoch. */
function isLoaded(eventId) {
  if (!loadedEvent) return false;
  const [epoch, number] = eventId.split("-");
  const [loadedEpoch, loadedNumber] = loadedEvent.split("-");
  return epoch === loadedEpoch && Number(number) <= Number(loadedNumber);
}

/** Starts a conversation. */
export function startThread() {
  clearThreadInUrl();
  openThread(newThread());
}

/** Opens the conversation in the URL, or a new one. */
export function openThreadInUrl() {
  const id = threadInUrl() ?? newThread();
  if (id !== state.thread) openThread(id);
}

export function setUpConversation() {
  byId("new").onclick = startThread;
  byId("earlier").onclick = () => orNotice(loadEarlier);
  const near = { root: byId("scroll"), rootMargin: EARLIER_MARGIN };
  new IntersectionObserver(([seen]) => { if (seen.isIntersecting) orNotice(loadEarlier); }, near).observe(byId("earlier"));
  addEventListener("hashchange", openThreadInUrl);
  addEventListener("popstate", openThreadInUrl);
}
