/** Holds the state that the page's modules share. */

export const state = {
  /** The server's configuration, loaded once from api/state. */
  config: {
    commands: [], writes: true, upload_limit: Infinity, question_limit: Infinity,
    /** The name is empty if the user chooses it here. */
    user: { name: "", admin: false, sign_out: false },
    /** Seconds between two signs of life of the event stream. */
    heartbeat_seconds: 15,
  },
  /** The conversations of the sidebar, latest first. */
  threads: [],
  /** The conversations that a search has found; null without a search. */
  found: null,
  /** ID of the open conversation. */
  thread: null,
  /** Whether the open conversation has no message yet. */
  isEmpty: true,
  /** The messages of the open conversation by ID. */
  messages: new Map(),
  /** ID of the oldest turn in the log if the conversation has earlier ones, else empty. */
  earlier: "",
  /** The conversation that the open one is a branch of, or null. */
  origin: null,
  /** Turn ID -> the branches of the open conversation that its question began: { thread_id, title }. */
  branches: new Map(),
  /** Turn ID -> "up" or "down", for the user's own thumbs. */
  ratings: new Map(),
  /** Conversation ID -> IDs of the turns that are being answered. */
  runningTurns: new Map(),
  /** IDs of conversations with an answer that has not been seen. */
  unread: new Set(),
  /** Files attached to the next question: { file, key }. */
  attachments: [],
};

/** Returns all parts of a turn's answer, in the order in which they were shown. */
export const answersOf = (turn) =>
  [...state.messages.values()].filter((message) => message.turn === turn && message.role === "assistant");

/** Returns the set of the turns of a conversation that are being answered. */
export function runningTurnsOf(thread) {
  if (!state.runningTurns.has(thread)) state.runningTurns.set(thread, new Set());
  return state.runningTurns.get(thread);
}
