/** Receives the server's event stream: connects, reconnects where it left off, and passes the events on. */

import { RETRY_MS, SIGNED_OUT_STATUS, mayWorkLater, request } from "./api.js";
import { applyEvent, reloadThread } from "./conversation.js";
import { byId, hideConnectionNotice, orNotice, showNotice } from "./dom.js";
import { CONNECTED, CONNECTION_LOST, RECONNECTING, SIGNED_OUT } from "./user-messages.js";
import { loadThreads } from "./sidebar.js";
import { state } from "./state.js";

const KINDS = ["message", "patch", "gone", "thread", "title", "pin"];
/** Heartbeats that may be missing before the connection counts as dead. */
const MISSED_HEARTBEATS = 2.5;
/** Milliseconds without a connection after which a notice says so. */
const NOTICE_AFTER_MS = 2_000;
const HIDDEN_PAGE_MS = 60_000;

let stream = null;
/** ID of the latest event. A new connection continues after it. */
let lastEvent = null;
/** Timer that ends a connection on which nothing arrives. */
let watchdog = 0;
/** Timer of the notice that the connection is lost; 0 while there is a connection. */
let noticeTimer = 0;

export function connect() {
  stream?.close();
  stream = new EventSource(lastEvent ? `api/events?last=${encodeURIComponent(lastEvent)}` : "api/events");
  expectHeartbeat();
  stream.onopen = () => {
    expectHeartbeat();
    showConnected();
  };
  stream.onerror = () => {
    showDisconnected();
    // The browser retries a lost connection itself, but not a refused one.
    if (stream?.readyState === EventSource.CLOSED) setTimeout(connectIfSignedIn, RETRY_MS);
  };
  stream.addEventListener("heartbeat", expectHeartbeat);
  for (const kind of KINDS) {
    stream.addEventListener(kind, (event) => {
      if (event.data === undefined) return;
      expectHeartbeat();
      lastEvent = event.lastEventId;
      applyEvent({ kind, id: event.lastEventId, data: JSON.parse(event.data) });
    });
  }
  stream.addEventListener("snapshot", (event) => {
    lastEvent = event.lastEventId;
    reloadThreads();
    if (state.thread) reloadThread();
  });
}

/** Loads the list of conversations, and tries again until that works. */
function reloadThreads() {
  return orNotice(async () => {
    try {
      await loadThreads();
    } catch (error) {
      if (mayWorkLater(error)) setTimeout(reloadThreads, RETRY_MS);
      throw error;
    }
  });
}

/** Connects again after a refusal, unless the session has ended: then only a new sign-in helps. */
async function connectIfSignedIn() {
  try {
    await request("api/state");
  } catch (error) {
    if (error.status === SIGNED_OUT_STATUS) {
      clearTimeout(watchdog);
      clearTimeout(noticeTimer);
      showConnection("off", SIGNED_OUT);
      showNotice(error.message);
      return;
    }
  }
  connect();
}

/** Starts to wait for the next sign of life. A connection can be dead although no error was reported. */
function expectHeartbeat() {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => {
    showDisconnected();
    connect();
  }, MISSED_HEARTBEATS * state.config.heartbeat_seconds * 1000);
}

function showConnected() {
  clearTimeout(noticeTimer);
  noticeTimer = 0;
  hideConnectionNotice();
  showConnection("on", CONNECTED);
}

function showDisconnected() {
  showConnection("off", RECONNECTING);
  noticeTimer ||= setTimeout(() => showNotice(CONNECTION_LOST, { untilConnected: true }), NOTICE_AFTER_MS);
}

function showConnection(value, text) {
  byId("connection").dataset.state = value;
  byId("connection").textContent = text;
}

/** Follows what the browser knows about the network: it notices a lost one before a heartbeat is missing. */
export function setUpNetwork() {
  addEventListener("offline", showDisconnected);
  addEventListener("online", () => { if (stream) connect(); });
}

/**
 * Closes the stream of a page that has been hidden for a while, and connects again when it is shown.
 * A browser opens six connections to a host, so hidden pages must not use them all.
 */
export function setUpHiddenPages() {
  let timer = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) {
      timer = setTimeout(() => {
        stream?.close();
        stream = null;
        clearTimeout(watchdog);
      }, HIDDEN_PAGE_MS);
    } else if (!stream) {
      connect();
    }
  });
}
