// The playground's page. The server sends finished, safe HTML blocks; this file puts them in place.

const $ = (id) => document.getElementById(id);
const ICON = (name) => `<svg aria-hidden="true"><use href="#i-${name}"/></svg>`;
const WORDS = {
  stop: "Stop", again: "Ask again", strong: "Ask the stronger model", up: "Good answer", down: "Bad answer", why: "Why",
  sources: "Sources",
};
const QUIET = new Set(["up", "down"]);
const REASONS = ["It is wrong", "Something is missing", "It is out of date", "Not what I asked"];
const AWAY_SECONDS = 60;

const state = {
  page: { questions: [], commands: [], writes: true, upload_limit: Infinity, question_limit: Infinity },
  threads: [],
  thread: null, // id of the open conversation
  fresh: true, // it has no message yet
  messages: new Map(), // of the open conversation, by id
  thumbs: new Map(), // turn -> "up" | "down"
  running: new Map(), // thread -> set of turns that are being answered
  unread: new Set(),
  loaded: null, // event id that the open conversation already contains
  reading: 0, // grows with each reading of the open conversation; only the latest counts
  waiting: null, // events that came while it was being read
  drafts: new Map(), // thread -> text in the box
  beside: [], // files that go with the next question: {file, key}
};

// --- small things

const newId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
const seq = (id) => Number(id.slice(id.indexOf("-") + 1));
const epoch = (id) => id.slice(0, id.indexOf("-"));
const phone = () => matchMedia("(max-width: 48rem)").matches;
const myName = () => localStorage.getItem("name") || "You";

function element(tag, props = {}, ...children) {
  const made = Object.assign(document.createElement(tag), props);
  made.append(...children);
  return made;
}

function say(text) { $("said").textContent = text; }

function notice(text) {
  $("notice").hidden = !text;
  $("notice").firstElementChild.textContent = text || "";
}

async function call(path, body) {
  const options = body === undefined ? {} : body instanceof Blob
    ? { method: "POST", body, headers: { "Content-Type": body.type || "application/octet-stream" } }
    : { method: "POST", body: JSON.stringify({ name: myName(), ...body }), headers: { "Content-Type": "application/json" } };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("Parley does not answer. Is it still running? Start it again with: make run");
  }
  const value = await response.json().catch(() => ({ error: `The server answered with status ${response.status}.` }));
  if (!response.ok) throw new Error(value.error || `The server answered with status ${response.status}.`);
  return value;
}

const attempt = (work) => work().catch((error) => notice(error.message));

// --- conversations

function day(at) {
  const start = new Date(); start.setHours(0, 0, 0, 0);
  const days = (start - new Date(at)) / 86_400_000;
  return days <= 0 ? "Today" : days <= 1 ? "Yesterday" : days <= 7 ? "This week" : "Earlier";
}

function drawThreads() {
  const list = $("threads");
  list.replaceChildren();
  if (!state.threads.length) list.append(element("p", { textContent: "Your conversations will stand here." }));
  let heading = "";
  for (const thread of state.threads) {
    if (day(thread.at) !== heading) list.append(element("h2", { textContent: (heading = day(thread.at)) }));
    const link = element("a", { href: `#${thread.id}`, title: thread.title }, element("span", { textContent: thread.title }));
    if (thread.id === state.thread) link.setAttribute("aria-current", "page");
    if (state.running.get(thread.id)?.size) link.classList.add("live");
    else if (state.unread.has(thread.id)) link.classList.add("unread");
    list.append(link);
  }
  const open = state.threads.find((thread) => thread.id === state.thread);
  $("title").textContent = open?.title || "New conversation";
  document.title = open ? `${open.title} · Parley` : "Parley";
}

async function loadThreads() {
  state.threads = (await call("/api/threads")).threads;
  drawThreads();
}

async function openThread(id) {
  if (state.thread) state.drafts.set(state.thread, $("question").value);
  state.thread = id;
  state.unread.delete(id);
  $("question").value = state.drafts.get(id) || "";
  grow();
  document.body.classList.remove("open");
  $("shade").hidden = true;
  notice("");
  closeQuote();
  drawThreads();
  await reload();
  if (!phone()) $("question").focus();
}

async function reload() {
  const reading = ++state.reading;
  state.waiting = [];
  let answer;
  try {
    answer = await call(`/api/threads/${state.thread}`);
  } catch (error) {
    if (reading === state.reading) state.waiting = null;
    return notice(error.message);
  }
  if (reading !== state.reading) return;
  state.messages.clear();
  $("log").replaceChildren();
  state.loaded = answer.event;
  const waiting = state.waiting;
  state.waiting = null;
  for (const message of answer.messages) show(message);
  for (const event of waiting) apply(event);
  emptiness();
  if (state.fresh) $("scroll").scrollTop = 0;
  else toBottom();
}

function startNew() {
  const id = newId();
  history.pushState(null, "", location.pathname);
  openThread(id);
}

function emptiness() {
  state.fresh = $("log").childElementCount === 0;
  $("empty").hidden = !state.fresh;
}

// --- messages

const answersOf = (turn) => [...state.messages.values()].filter((m) => m.turn === turn && m.role === "assistant");

function show(message) {
  const stick = atBottom();
  state.messages.set(message.id, message);
  const known = document.getElementById(message.id);
  const made = message.role === "user" ? question(message) : message.role === "command" ? commandReply(message) : answer(message);
  if (known) {
    const under = known.querySelector(".under");
    if (under && made.querySelector(".actions")) made.append(under);
    made.style.animation = "none";
    const held = known.contains(document.activeElement) && document.activeElement.dataset.do;
    known.replaceWith(made);
    if (held) made.querySelector(`[data-do="${held}"]`)?.focus({ preventScroll: true });
  } else {
    $("log").append(made);
  }
  think(message);
  if (stick) toBottom();
}

function question(message) {
  document.querySelectorAll(".msg.sending").forEach((sent) => sent.remove());
  const body = element("div", { className: "body", innerHTML: message.blocks.join("") });
  if (body.textContent.length > 1200) body.classList.add("clamp");
  const made = element("article", { id: message.id, className: "msg user" }, body);
  if (message.notes.length) made.append(element("p", { className: "with", innerHTML: ICON("clip") }, message.notes.join(", ")));
  made.setAttribute("aria-label", message.author);
  if (message.turn) made.append(ownActions(message, made));
  return made;
}

// What one may do with a question of one's own: change it, or have it forgotten with its answer.
function ownActions(message, made) {
  const bar = element("div", { className: "mine" });
  const change = element("button", { type: "button", textContent: "Change" });
  const forget = element("button", { type: "button", textContent: "Forget" });
  change.onclick = () => changing(message, made);
  forget.onclick = () => {
    if (forget.dataset.sure) return attempt(async () => {
      await call(`/api/turns/${message.turn}/forget`, {});
      await loadThreads();
    });
    forget.dataset.sure = "yes";
    forget.textContent = "Forget question and answer?";
    forget.onblur = () => { delete forget.dataset.sure; forget.textContent = "Forget"; };
  };
  bar.append(change, forget);
  return bar;
}

function changing(message, made) {
  const body = made.querySelector(".body");
  if (!body) return;
  const box = element("textarea", { value: body.textContent, rows: 3 });
  box.setAttribute("aria-label", "Your question, changed");
  const save = element("button", { type: "submit", textContent: "Ask this instead" });
  const cancel = element("button", { type: "button", textContent: "Cancel", onclick: () => show(message) });
  const form = element("form", { className: "changing" }, box, element("div", {}, save, cancel));
  form.onsubmit = (event) => {
    event.preventDefault();
    attempt(() => call(`/api/turns/${message.turn}/change`, { text: box.value }).then(() => { if (form.isConnected) show(message); }));
  };
  box.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); form.requestSubmit(); }
    if (event.key === "Escape") show(message);
  };
  body.replaceWith(form);
  box.focus();
}

function byline(message) {
  const at = new Date(message.at);
  const icon = element("img", { src: "/static/icon.svg", alt: "", width: 22, height: 22 });
  const time = element("time", { dateTime: message.at, textContent: at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) });
  time.title = at.toLocaleString();
  const line = element("div", { className: "by" }, icon, element("b", { textContent: message.author }), time);
  if (message.private) line.append(element("span", { textContent: "only you see this" }));
  return line;
}

function bodyOf(message) {
  const body = element("div", { className: "body" });
  for (const block of message.blocks) body.append(element("div", { innerHTML: block }));
  return body;
}

function answer(message) {
  const made = element("article", { id: message.id, className: "msg assistant" });
  made.classList.toggle("final", message.final);
  made.classList.toggle("failed", message.failed);
  const first = answersOf(message.turn)[0];
  if (!first || first.id === message.id) made.append(byline(message));
  made.append(bodyOf(message));
  if (message.sources.length) made.append(sourcesOf(message));
  if (message.notes.length) made.append(element("p", { className: "notes", textContent: message.notes.join(" · ") }));
  if (message.actions.length) made.append(actionsOf(message));
  return made;
}

function commandReply(message) {
  const card = element("div", { className: "card" });
  card.classList.toggle("failed", message.failed);
  if (message.blocks.length) card.append(bodyOf(message));
  if (message.file) card.append(fileOf(message.file));
  if (message.notes.length) {
    const line = element("div", { className: "notes" });
    if (!message.final) line.append(dots());
    line.append(message.notes.join("\n"));
    card.append(line);
  }
  if (message.actions.length) card.append(actionsOf(message));
  return element("article", { id: message.id, className: "msg command" }, byline(message), card);
}

function fileOf(file) {
  const link = element("a", { className: "keep", href: file.url, download: file.name, innerHTML: ICON("file") }, file.name);
  const picture = element("img", { className: "picture", src: file.url, alt: file.name });
  return file.image ? element("div", {}, picture, link) : link;
}

function sourcesOf(message) {
  const list = element("ol", { className: "sources" });
  list.setAttribute("aria-label", "Sources");
  for (const source of message.sources) {
    const place = [source.heading.at(-1), source.page && `p. ${source.page}`].filter(Boolean).join(", ");
    const title = element("span", { className: "t", textContent: source.title });
    if (place && place !== source.title) title.append(element("small", { textContent: `  ${place}` }));
    const button = element("button", { type: "button" }, element("span", { className: "n", textContent: source.n }), title);
    button.dataset.n = source.n;
    button.title = "Show the quoted passage";
    list.append(element("li", {}, button));
  }
  return list;
}

function actionsOf(message) {
  const bar = element("div", { className: "actions" });
  for (const name of message.actions) {
    const words = element("span", { className: QUIET.has(name) ? "hidden" : "words", textContent: WORDS[name] });
    const button = element("button", { type: "button", title: WORDS[name], innerHTML: ICON(name) }, words);
    button.dataset.do = name;
    if (QUIET.has(name)) button.setAttribute("aria-pressed", String(state.thumbs.get(message.turn) === name));
    bar.append(button);
  }
  return bar;
}

const dots = () => element("span", { className: "dots", innerHTML: "<i></i><i></i><i></i>" });

function think(message) {
  const running = state.running.get(message.thread) || new Set();
  if (message.role === "user" && message.turn) {
    document.querySelectorAll('[data-thinking="sending"]').forEach((line) => line.remove());
    message.final ? running.delete(message.turn) : running.add(message.turn);
    const needed = !message.final && !answersOf(message.turn).length;
    const line = document.querySelector(`[data-thinking="${message.turn}"]`);
    if (needed && !line) $("log").append(thinking(message.turn));
    if (!needed) line?.remove();
  } else if (message.role === "assistant") {
    document.querySelector(`[data-thinking="${message.turn}"]`)?.remove();
    if (message.final && message.actions.length) running.delete(message.turn);
  }
  state.running.set(message.thread, running);
}

function thinking(turn) {
  const icon = element("img", { src: "/static/icon.svg", alt: "", width: 22, height: 22 });
  const made = element("div", { className: "thinking" }, icon, dots(), "Reading the documents");
  made.dataset.thinking = turn;
  return made;
}

// --- scrolling: follow the answer unless the reader has scrolled away

const atBottom = () => $("scroll").scrollHeight - $("scroll").scrollTop - $("scroll").clientHeight < 80;
function toBottom() { $("scroll").scrollTop = $("scroll").scrollHeight; $("bottom").hidden = true; }

// --- events

function apply(event) {
  const { kind, data, id } = event;
  if (kind === "thread") {
    state.threads = [data, ...state.threads.filter((thread) => thread.id !== data.id)];
    return drawThreads();
  }
  if (data.thread !== state.thread) return elsewhere(kind, data);
  if (state.waiting) return state.waiting.push(event);
  if (state.loaded && epoch(state.loaded) === epoch(id) && seq(id) <= seq(state.loaded)) return;
  if (kind === "message") {
    const before = state.messages.get(data.id);
    show(data);
    emptiness();
    drawThreads();
    if (data.role === "assistant" && data.final && !before?.final) say("Parley has answered.");
  } else if (kind === "patch") {
    patch(data);
  } else if (kind === "gone") {
    state.messages.delete(data.id);
    document.getElementById(data.id)?.remove();
    emptiness();
  }
}

function patch(data) {
  const message = state.messages.get(data.id);
  const body = document.getElementById(data.id)?.querySelector(".body");
  if (!message) return reload();
  message.blocks = [...message.blocks.slice(0, data.keep), ...data.blocks];
  if (!body) return show(message);
  const stick = atBottom();
  while (body.children.length > data.keep) body.lastElementChild.remove();
  for (const block of data.blocks) body.append(element("div", { innerHTML: block }));
  if (stick) toBottom(); else $("bottom").hidden = false;
}

function elsewhere(kind, data) {
  if (kind !== "message" || data.role === "command") return;
  const running = state.running.get(data.thread) || new Set();
  if (data.role === "user") data.final ? running.delete(data.turn) : running.add(data.turn);
  if (data.role === "assistant" && data.final) { running.delete(data.turn); state.unread.add(data.thread); }
  state.running.set(data.thread, running);
  drawThreads();
}

let stream = null;
let lastEvent = null;

function connect() {
  stream?.close();
  stream = new EventSource(lastEvent ? `/api/events?last=${encodeURIComponent(lastEvent)}` : "/api/events");
  stream.onopen = () => line("on", "connected");
  stream.onerror = () => {
    line("off", "reconnecting");
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  };
  for (const kind of ["message", "patch", "gone", "thread"]) {
    stream.addEventListener(kind, (event) => {
      if (event.data === undefined) return;
      lastEvent = event.lastEventId;
      apply({ kind, id: event.lastEventId, data: JSON.parse(event.data) });
    });
  }
  stream.addEventListener("snapshot", (event) => {
    lastEvent = event.lastEventId;
    attempt(loadThreads);
    if (state.thread) reload();
  });
}

function line(value, words) { $("line").dataset.state = value; $("line").textContent = words; }

// A browser opens six connections to one host; pages nobody looks at must not hold them all.
let away = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(away);
  if (document.hidden) away = setTimeout(() => { stream?.close(); stream = null; }, AWAY_SECONDS * 1000);
  else if (!stream) connect();
});

// --- asking

async function send(text) {
  const thread = state.thread;
  notice("");
  const command = /^\/([\w-]+)\s*([\s\S]*)$/.exec(text);
  if (command && command[1].toLowerCase() === "ingest" && state.beside.length) return keepBeside(command[2]);
  const beside = command ? [] : state.beside;
  if (!command && text.length > state.page.question_limit) {
    throw new Error(`That question has ${text.length.toLocaleString()} characters; at most ${state.page.question_limit.toLocaleString()} can be asked. Shorten it, or upload the text as a file.`);
  }
  const sent = element("article", { className: "msg user sending" },
    element("div", { className: "body clamp" }, element("p", { className: "plain", textContent: text || "…" })));
  $("log").append(sent);
  if (!command) $("log").append(thinking("sending"));
  emptiness();
  toBottom();
  if (location.hash !== `#${thread}`) history.replaceState(null, "", `#${thread}`);
  try {
    if (command) await call("/api/command", { thread, command: command[1].toLowerCase(), args: command[2] });
    else await call("/api/ask", { thread, id: newId(), text, files: beside.map((one) => one.key) });
    if (beside.length) { state.beside = []; drawBeside(); }
    say(command ? "Running the command." : "Parley is reading the documents.");
  } catch (error) {
    sent.remove();
    document.querySelector('[data-thinking="sending"]')?.remove();
    if (!$("question").value) { $("question").value = text; grow(); }
    emptiness();
    throw error;
  }
}

async function attach(files) {
  for (const file of files) {
    if (file.size > state.page.upload_limit) {
      notice(`${file.name} is larger than ${Math.round(state.page.upload_limit / 1048576)} MB. Split it, or raise PARLEY_MAX_FILE_MB.`);
      continue;
    }
    await attempt(async () => {
      const { file: key } = await call(`/api/attach?${new URLSearchParams({ file: file.name })}`, file);
      state.beside.push({ file, key });
      say(`${file.name} is attached.`);
    });
  }
  drawBeside();
  $("question").focus();
}

function drawBeside() {
  $("beside").hidden = !state.beside.length;
  $("beside").querySelector("ul").replaceChildren(...state.beside.map((one) => {
    const away = element("button", { type: "button", className: "icon", innerHTML: ICON("close") });
    away.setAttribute("aria-label", `Take ${one.file.name} away`);
    away.onclick = () => { state.beside = state.beside.filter((other) => other !== one); drawBeside(); };
    return element("li", { innerHTML: ICON("file") }, element("span", { textContent: one.file.name }), away);
  }));
  grow();
}

async function keepBeside(args = "") {
  const files = state.beside.map((one) => one.file);
  state.beside = [];
  drawBeside();
  await upload(files, args);
}

async function upload(files, args) {
  for (const file of files) {
    const query = new URLSearchParams({ thread: state.thread, file: file.name, args, name: myName() });
    if (location.hash !== `#${state.thread}`) history.replaceState(null, "", `#${state.thread}`);
    say(`Uploading ${file.name}.`);
    await attempt(() => call(`/api/upload?${query}`, file));
  }
}

function grow() {
  const box = $("question");
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight, 224)}px`;
  $("send").disabled = !box.value.trim() && !state.beside.length;
}

// --- commands that complete themselves

let chosen = 0;

function completions() {
  const typed = /^\/([\w-]*)$/.exec($("question").value);
  return typed ? state.page.commands.filter((command) => command.name.startsWith(typed[1].toLowerCase())) : [];
}

function drawCommands() {
  const found = completions();
  chosen = Math.min(chosen, Math.max(found.length - 1, 0));
  $("commands").hidden = !found.length;
  $("commands").replaceChildren(...found.map((command, index) => {
    const row = element("li", { id: `command-${index}` }, element("b", { textContent: `/${command.name}` }),
      element("i", { textContent: command.usage }), element("span", { textContent: command.summary }));
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(index === chosen));
    row.onmousedown = (event) => { event.preventDefault(); complete(command); };
    return row;
  }));
  if (found.length) $("question").setAttribute("aria-activedescendant", `command-${chosen}`);
  else $("question").removeAttribute("aria-activedescendant");
  $("commands").children[chosen]?.scrollIntoView({ block: "nearest" });
}

function complete(command) {
  $("question").value = `/${command.name}${command.usage ? " " : ""}`;
  grow();
  drawCommands();
  $("question").focus();
}

function commandKey(event) {
  const found = completions();
  if (!found.length || $("commands").hidden) return false;
  const exact = $("question").value === `/${found[chosen].name}`;
  if (event.key === "ArrowDown") chosen = (chosen + 1) % found.length;
  else if (event.key === "ArrowUp") chosen = (chosen + found.length - 1) % found.length;
  else if (event.key === "Escape") { $("commands").hidden = true; event.preventDefault(); return true; }
  else if (event.key === "Tab" || (event.key === "Enter" && !exact)) complete(found[chosen]);
  else return false;
  drawCommands();
  event.preventDefault();
  return true;
}

// --- buttons under an answer

async function act(button, message) {
  const name = button.dataset.do;
  const path = `/api/turns/${message.turn}/${name}`;
  const card = button.closest(".msg");
  card.querySelector(".under")?.remove();
  button.disabled = true;
  try {
    if (message.reading) return await call("/api/readings/stop", { thread: message.thread, reading: message.reading });
    if (name === "why" || name === "sources") return under(card, (await call(path, { thread: message.thread })).message);
    await call(path, {});
    if (QUIET.has(name)) thumb(card, message.turn, name);
    if (name === "again" || name === "strong") toBottom();
  } finally {
    button.disabled = name === "stop" && !$("notice").textContent;
  }
}

function under(card, message) {
  const body = bodyOf(message);
  const made = element("div", { className: "under" }, body);
  if (message.file) made.append(fileOf(message.file));
  card.append(made);
  made.scrollIntoView({ block: "nearest" });
}

function thumb(card, turn, name) {
  state.thumbs.set(turn, name);
  card.querySelectorAll("[aria-pressed]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.do === name)));
  say("Thank you.");
  if (name === "up") return;
  const form = element("form", { className: "under reason" });
  const send = (reason) => attempt(async () => {
    if (reason.trim()) await call(`/api/turns/${turn}/down`, { reason });
    form.replaceChildren("Thank you. This helps whoever keeps the documents.");
  });
  const input = element("input", { placeholder: "What was wrong?", maxLength: 500 });
  input.setAttribute("aria-label", "What was wrong?");
  form.append(...REASONS.map((text) => element("button", { type: "button", textContent: text, onclick: () => send(text) })), input);
  form.onsubmit = (event) => { event.preventDefault(); send(input.value); };
  card.append(form);
  form.scrollIntoView({ block: "nearest" });
}

// --- the quoted passage

let opener = null;

// Lines of prose that a PDF or a text file broke are joined; lists, tables and paragraphs stay.
const unwrapped = (text) => text.replace(/([^\n|])\n(?=[^\n|*#>\-\d])/g, "$1 ");

function openQuote(button, source) {
  const was = opener;
  closeQuote();
  if (was === button) return;
  opener = button;
  button.setAttribute("aria-expanded", "true");
  const headings = source.heading.filter((heading, level) => level || heading !== source.title);
  const place = [...headings, source.page && `page ${source.page}`].filter(Boolean).join(" › ");
  const title = element("div", {}, element("h2", { textContent: source.title }), element("p", { textContent: place }));
  const close = element("button", { type: "button", className: "icon", innerHTML: ICON("close"), onclick: () => closeQuote(true) });
  close.setAttribute("aria-label", "Close");
  const origin = source.url
    ? element("a", { href: source.url, target: "_blank", rel: "noopener noreferrer nofollow", textContent: source.source })
    : source.source;
  const box = $("quote");
  box.replaceChildren(element("header", {}, title, close),
    element("blockquote", { textContent: unwrapped(source.quote) }), element("footer", {}, origin));
  box.hidden = false;
  const at = button.getBoundingClientRect();
  const size = box.getBoundingClientRect();
  const below = at.bottom + 8 + size.height < innerHeight;
  box.style.left = `${Math.max(16, Math.min(at.left - 24, innerWidth - size.width - 16))}px`;
  box.style.top = `${below ? at.bottom + 8 : Math.max(16, at.top - size.height - 8)}px`;
  box.focus({ preventScroll: true });
}

function closeQuote(back = false) {
  $("quote").hidden = true;
  opener?.setAttribute("aria-expanded", "false");
  if (back) opener?.focus();
  opener = null;
}

$("log").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  const message = state.messages.get(button?.closest(".msg")?.id);
  if (!button || !message) return;
  if (button.dataset.do) return attempt(() => act(button, message));
  if (button.dataset.n) {
    const sources = answersOf(message.turn).flatMap((part) => part.sources);
    const source = sources.find((one) => one.n === Number(button.dataset.n));
    if (source) openQuote(button, source);
  }
});
document.addEventListener("pointerdown", (event) => {
  if (!$("quote").hidden && !event.target.closest("#quote, .cite, .sources button")) closeQuote();
});

// --- what hands and keys do

function submit() {
  const text = $("question").value.trim();
  if (!text && !state.beside.length) return;
  $("question").value = "";
  grow();
  drawCommands();
  attempt(() => send(text));
}

$("form").onsubmit = (event) => { event.preventDefault(); submit(); };
$("question").oninput = () => { chosen = 0; grow(); drawCommands(); };
$("question").onblur = () => { $("commands").hidden = true; };
$("question").onkeydown = (event) => {
  if (event.isComposing || commandKey(event)) return;
  if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); submit(); }
};
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if (!$("quote").hidden) closeQuote(true);
    else if (document.body.classList.contains("open")) menu(false);
    else notice("");
  }
  if (event.key === "/" && !event.target.closest("textarea, input")) { event.preventDefault(); $("question").focus(); }
});

function menu(open) {
  document.body.classList.toggle("open", open);
  $("shade").hidden = !open;
  $("menu").setAttribute("aria-expanded", String(open));
}
$("menu").onclick = () => menu(!document.body.classList.contains("open"));
$("shade").onclick = () => menu(false);
$("new").onclick = startNew;
$("bottom").onclick = toBottom;
$("notice").lastElementChild.onclick = () => notice("");
$("scroll").onscroll = () => { if (atBottom()) $("bottom").hidden = true; if (!phone()) closeQuote(); };
$("attach").onclick = () => $("file").click();
$("file").onchange = () => { attach([...$("file").files]); $("file").value = ""; };
$("keep").onclick = () => keepBeside();

let depth = 0;
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragenter", (event) => { if (carriesFiles(event)) { depth += 1; $("drop").hidden = false; } });
addEventListener("dragleave", (event) => { if (carriesFiles(event) && --depth <= 0) { depth = 0; $("drop").hidden = true; } });
addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  depth = 0;
  $("drop").hidden = true;
  attach([...event.dataTransfer.files]);
});
$("question").onpaste = (event) => { if (event.clipboardData.files.length) { event.preventDefault(); attach([...event.clipboardData.files]); } };

function drawName() {
  $("me").querySelector(".who").textContent = myName();
  $("me").querySelector(".face").textContent = myName().slice(0, 1).toUpperCase();
}
$("me").onclick = () => {
  const me = $("me");
  const input = element("input", { value: myName() === "You" ? "" : myName(), placeholder: "Your name", maxLength: 40 });
  input.setAttribute("aria-label", "Your name");
  let done = false;
  const finish = (keep) => {
    if (done) return;
    done = true;
    if (keep) localStorage.setItem("name", input.value.trim());
    input.replaceWith(me);
    drawName();
  };
  input.onkeydown = (event) => {
    event.stopPropagation();
    if (event.key === "Enter" || event.key === "Escape") { finish(event.key === "Enter"); me.focus(); }
  };
  input.onblur = () => finish(true);
  me.replaceWith(input);
  input.focus();
};

addEventListener("hashchange", route);
addEventListener("popstate", route);
function route() {
  const id = location.hash.slice(1);
  if (/^[A-Za-z0-9-]{8,64}$/.test(id)) { if (id !== state.thread) openThread(id); } else if (!state.thread || !state.fresh) openThread(newId());
}

async function begin() {
  drawName();
  if (phone()) $("question").placeholder = "Ask, or / for commands";
  state.page = await call("/api/state");
  $("chips").replaceChildren(...state.page.questions.map((text) =>
    element("button", { type: "button", textContent: text, onclick: () => attempt(() => send(text)) })));
  $("quoting").hidden = state.page.writes;
  route();
  connect();
}
attempt(begin);
