/** Attaches files to the next question or uploads them as documents: by button, paste or drag and drop. */

import { upload, userName } from "./api.js";
import { announce, button, byId, element, icon, orNotice, showNotice } from "./dom.js";
import { announceAttached, announceUploading, DROP_TO_ADD, DROP_TO_ATTACH, fileTooLarge, removeFile } from "./user-messages.js";
import { beginThread } from "./drafts.js";
import { focusQuestion, questionText, setQuestionText, updateQuestionBox } from "./question-box.js";
import { state } from "./state.js";
import { putThreadInUrl } from "./url-hash.js";

const MEGABYTE = 1_048_576;

/** Uploads files and attaches them to the next question. */
async function attach(files) {
  for (const file of files) {
    if (isTooLarge(file)) continue;
    await orNotice(async () => {
      const path = `api/attach?${new URLSearchParams({ file: file.name })}`;
      const { file: key } = await uploading(file, (onProgress) => upload(path, file, onProgress));
      state.attachments.push({ file, key });
      announce(announceAttached(file.name));
    });
  }
  drawAttachments();
  focusQuestion();
}

function setAttachments(attachments) {
  state.attachments = attachments;
  drawAttachments();
}

/** Removes the files with these keys from the next question. Others may have been attached meanwhile. */
export const removeAttachments = (keys) =>
  setAttachments(state.attachments.filter(({ key }) => !keys.includes(key)));

function drawAttachments() {
  byId("attachments").hidden = !state.attachments.length;
  byId("attachments").querySelector("ul").replaceChildren(...state.attachments.map(attachmentElement));
  updateQuestionBox();
}

function attachmentElement(attachment) {
  const { name } = attachment.file;
  const remove = button({ className: "icon", innerHTML: icon("close") });
  remove.setAttribute("aria-label", removeFile(name));
  remove.onclick = () => setAttachments(state.attachments.filter((other) => other !== attachment));
  return element("li", { innerHTML: icon("file") }, element("span", { textContent: name }), remove);
}

/**
 * Ingests the attached files as documents, with further arguments of /ingest. Attaches those that fail again, and
 * throws the last error.
 */
export async function ingestAttachments(args = "") {
  const { attachments: attached, thread } = state;
  const failed = [];
  let lastError = null;
  setAttachments([]);
  for (const attachment of attached) {
    try {
      await ingestFile(attachment.file, thread, args);
    } catch (error) {
      failed.push(attachment);
      lastError = error;
    }
  }
  if (!lastError) return;
  setAttachments([...failed, ...state.attachments]);
  throw lastError;
}

async function ingestFiles(files) {
  const { thread } = state;
  for (const file of files) {
    if (!isTooLarge(file)) await orNotice(() => ingestFile(file, thread));
  }
}

async function ingestFile(file, thread, args = "") {
  const query = new URLSearchParams({ thread, file: file.name, args, name: userName() });
  const undoBegin = beginThread(thread);
  if (thread === state.thread) putThreadInUrl(thread);
  announce(announceUploading(file.name));
  try {
    await uploading(file, (onProgress) => upload(`api/upload?${query}`, file, onProgress));
  } catch (error) {
    undoBegin();
    throw error;
  }
}

/** Lets the user choose files to add to the documents. */
export const chooseDocuments = () => byId("documents").click();

/** Says so if a file is larger than the server accepts. */
function isTooLarge(file) {
  const isLarge = file.size > state.config.upload_limit;
  if (isLarge) showNotice(fileTooLarge(file.name, Math.round(state.config.upload_limit / MEGABYTE)));
  return isLarge;
}

/** Shows how far an upload is while it runs. `work` receives a function that takes the share that is done, 0 to 1. */
async function uploading(file, work) {
  const bar = element("progress", { max: 1, value: 0 });
  bar.setAttribute("aria-label", announceUploading(file.name));
  const row = element("li", { innerHTML: icon("file") }, element("span", { textContent: file.name }), bar);
  byId("uploads").append(row);
  try {
    return await work((share) => { bar.value = share; });
  } finally {
    row.remove();
  }
}

export function setUpUploads() {
  byId("attach").onclick = () => byId("file").click();
  byId("file").onchange = () => {
    attach([...byId("file").files]);
    byId("file").value = "";
  };
  byId("documents").onchange = () => {
    ingestFiles([...byId("documents").files]);
    byId("documents").value = "";
  };
  byId("ingest").onclick = () => orNotice(() => ingestAttachments());
  setUpPaste();
  setUpDragAndDrop();
}

/** Adds dropped files to the documents on an empty page, as it says, and attaches them in a conversation. */
function takeDropped(files) {
  if (state.isEmpty) ingestFiles(files);
  else attach(files);
}

/** Puts a dropped address into the question box, which then offers to add it to the documents. */
function dropAddress(list) {
  const [address] = list.split("\n").map((line) => line.trim()).filter((line) => /^https?:/.test(line));
  if (!address) return;
  setQuestionText([questionText(), address].filter(Boolean).join("\n"));
  byId("question").dispatchEvent(new Event("input"));
  focusQuestion();
}

function setUpPaste() {
  byId("question").onpaste = (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    attach([...event.clipboardData.files]);
  };
}

function setUpDragAndDrop() {
  // A link that is dragged from this page is none to add.
  let isOwn = false;
  addEventListener("dragstart", () => { isOwn = true; });
  addEventListener("dragend", () => { isOwn = false; });
  const isWelcome = ({ dataTransfer }) =>
    !isOwn && ["Files", "text/uri-list"].some((type) => dataTransfer?.types.includes(type));
  // The browser reports every element that the pointer enters and leaves, so only the count tells whether it left the page.
  let depth = 0;
  const showDropZone = (newDepth) => {
    depth = Math.max(newDepth, 0);
    byId("drop").hidden = depth === 0;
    byId("drop").firstElementChild.textContent = state.isEmpty ? DROP_TO_ADD : DROP_TO_ATTACH;
  };
  addEventListener("dragenter", (event) => { if (isWelcome(event)) showDropZone(depth + 1); });
  addEventListener("dragleave", (event) => { if (isWelcome(event)) showDropZone(depth - 1); });
  addEventListener("dragover", (event) => { if (isWelcome(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!isWelcome(event)) return;
    event.preventDefault();
    showDropZone(0);
    const { files } = event.dataTransfer;
    if (files.length) takeDropped([...files]);
    else dropAddress(event.dataTransfer.getData("text/uri-list"));
  });
}
