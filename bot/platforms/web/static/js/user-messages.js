/** Defines every text that the page's modules show to people; the fixed text of the page is in index.html. */

export const ACTION_LABELS = {
  stop: "Stop",
  again: "Ask again",
  strong: "Ask the stronger model",
  up: "Good answer",
  down: "Bad answer",
  why: "Why?",
  sources: "Sources",
  copy: "Copy",
};

export const FEEDBACK_REASONS = ["It is wrong", "Something is missing", "It is out of date", "Not what I asked"];

export const NOT_REACHABLE = "Parley is not reachable. Is it still running? Start it again with: make run";
export const httpStatus = (status) => `Something went wrong. The server answered with status ${status}.`;

export const DEFAULT_NAME = "You";
export const YOUR_NAME = "Your name";

export const NO_CONVERSATIONS = "Conversations appear here.";
export const NEW_CONVERSATION = "New conversation";
export const NOTHING_FOUND = "No conversation contains this.";
export const PINNED = "Pinned";
export const CONVERSATION_TITLE = "Title of the conversation";
export const CONFIRM_DELETE_THREAD = "Delete?";
export const TODAY = "Today";
export const YESTERDAY = "Yesterday";
export const THIS_WEEK = "This week";
export const EARLIER = "Earlier";

export const CONNECTED = "connected";
export const RECONNECTING = "reconnecting";
export const SIGNED_OUT = "signed out";
export const CONNECTION_LOST = "The connection to Parley is lost. Trying to connect again…";

/** The steps of the set-up by their names in the server's response. */
export const STEP_TITLES = { documents: "Add documents", model: "Add a model", chat: "Connect Slack or Discord" };
export const DONE = "done";
export const OPEN = "not done";

export const EDIT = "Edit";
export const DELETE = "Delete";
export const CONFIRM_DELETE = "Delete question and answer?";
export const EDIT_BOX = "Edit your question";
export const ASK_IN_BRANCH = "Ask in a branch";
export const REPLACE_QUESTION = "Replace the question";
export const branchOf = (title) => `Branch of “${title}”`;
export const branchTo = (title) => `Branch: ${title}`;
export const CANCEL = "Cancel";

export const ONLY_YOU = "only you can see this";
export const SEARCHING = "Searching the documents";
export const WAITING = "Waiting for the answer above";
export const SOURCES = "Sources";
export const QUESTION = "Question";
export const SHOW_PASSAGE = "Show the quoted passage";
export const shortPage = (page) => `p. ${page}`;
export const longPage = (page) => `page ${page}`;
export const CLOSE = "Close";
export const OPEN_DOCUMENT = "Show in the document";
export const EARLIER_PART = "Show the part before";
export const LATER_PART = "Show the part after";
export const EARLIER_PAGES = "Show the pages before";
export const LATER_PAGES = "Show the pages after";
export const PAGE_NOT_SHOWN = "A page cannot be shown. Choose “Text” to read it.";
export const QUOTE_GONE = "The document has changed since the answer, and no longer has the quoted passage.";

export const SHORT_PLACEHOLDER = "Ask, or / for commands";
export const questionTooLong = (length, limit) =>
  `Your question has ${length.toLocaleString()} characters, and the limit is ${limit.toLocaleString()}. `
  + "Shorten it, or attach the text as a file.";
export const fileTooLarge = (name, megabytes) =>
  `${name} is larger than ${megabytes} MB. Split it, or raise PARLEY_MAX_FILE_MB.`;
export const DROP_TO_ADD = "Drop to add to the documents";
export const DROP_TO_ATTACH = "Drop to attach to your question";
export const removeFile = (name) => `Remove ${name}`;

export const COPIED = "Copied";
export const NOT_COPIED = "The browser does not allow this page to copy. Select the text and copy it yourself.";

export const WHAT_WAS_WRONG = "What was wrong?";
export const THANKS = "Thank you.";
export const THANKS_FOR_REASON = "Thank you. Your feedback helps to improve the documents.";

/** What a screen reader announces. */
export const ANNOUNCE_ANSWERED = "Parley has answered.";
export const ANNOUNCE_SEARCHING = "Parley is searching the documents.";
export const ANNOUNCE_COMMAND = "The command is running.";
export const announceAttached = (name) => `${name} is attached.`;
export const announceUploading = (name) => `Uploading ${name}.`;
