/** Receives the server's event stream: connects, reconnects where it left off, and passes the events on. */

import { SIGNED_OUT_STATUS, request } from "./api.js";
import { applyEvent, reloadThread } from "./conversation.js";
import { byId, orNotice, showNotice } from "./dom.js";
import { CONNECTED, RECONNECTING, SIGNED_OUT } from "./user-messages.js";
import { loadThreads } from "./sidebar.js";
import { state } from "./state.js";

const KINDS = ["message", "patch", "gone", "thread"];
const RETRY_MS = 2_000;
const HIDDEN_PAGE_MS = 60_000;

let stream = null;
/** ID of the latest event. A new connection continues after it. */
let lastEvent = null;

export function connect() {
  stream?.close();
  stream = new EventSource(lastEvent ? `api/events?last=${encodeURIComponent(lastEvent)}` : "api/events");
  stream.onopen = () => showConnection("on", CONNECTED);
  stream.onerror = () => {
    showConnection("off", RECONNECTING);
    // The browser retries a lost connection itself, but not a refused one.
    if (stream?.readyState === EventSource.CLOSED) setTimeout(connectIfSignedIn, RETRY_MS);
  };
  for (const kind of KINDS) {
    stream.addEventListener(kind, (event) => {
      if (event.data === undefined) return;
      lastEvent = event.lastEventId;
      applyEvent({ kind, id: event.lastEventId, data: JSON.parse(event.data) });
    });
  }
  stream.addEventListener("snapshot", (event) => {
    lastEvent = event.lastEventId;
    orNotice(loadThreads);
    if (state.thread) reloadThread();
  });
}

/** Connects again after a refusal, unless the session has ended: then only a new sign-in helps. */
async function connectIfSignedIn() {
  try {
    await request("api/state");
  } catch (error) {
    if (error.status === SIGNED_OUT_STATUS) {
      showConnection("off", SIGNED_OUT);
      showNotice(error.message);
      return;
    }
  }
  connect();
}

function showConnection(value, text) {
  byId("connection").dataset.state = value;
  byId("connection").textContent = text;
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
      }, HIDDEN_PAGE_MS);
    } else if (!stream) {
      connect();
    }
  });
}
