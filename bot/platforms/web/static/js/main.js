/** Starts the playground's page: sets up every part, loads the configuration, and connects to the event stream. */

import { setUpAnswerActions } from "./answer-actions.js";
import { request } from "./api.js";
import { send, setUpComposer } from "./composer.js";
import { openThreadInUrl, setUpConversation } from "./conversation.js";
import { button, byId, orNotice, showNotice } from "./dom.js";
import { connect, setUpHiddenPages, setUpNetwork } from "./events.js";
import { closePassage, isPassageOpen, setUpPassage } from "./passage.js";
import { setUpQuestionActions } from "./question-actions.js";
import { focusQuestion } from "./question-box.js";
import { setUpScrolling } from "./scroll.js";
import { drawUser, isSidebarOpen, openSidebar, setUpSidebar } from "./sidebar.js";
import { state } from "./state.js";
import { setUpUploads } from "./uploads.js";

/** Milliseconds between two looks at whether the sample documents are added. */
const SAMPLE_POLL_MS = 2000;

/** Escape closes what is on top; "/" moves to the question box. */
function setUpKeyboard() {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (isPassageOpen()) closePassage({ refocus: true });
      else if (isSidebarOpen()) openSidebar(false);
      else showNotice("");
    }
    if (event.key === "/" && !event.target.closest("textarea, input")) {
      event.preventDefault();
      focusQuestion();
    }
  });
}

function drawWelcome() {
  byId("chips").replaceChildren(...state.config.questions.map((text) =>
    button({ textContent: text, onclick: () => orNotice(() => send(text)) })));
  byId("no-model").hidden = state.config.writes;
}

/** Says that the sample documents are being added, until they are there. */
async function followSample() {
  byId("adding-sample").hidden = !state.config.adding_sample;
  while (state.config.adding_sample) {
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_POLL_MS));
    state.config.adding_sample = await request("api/state").then((found) => found.adding_sample, () => true);
    byId("adding-sample").hidden = !state.config.adding_sample;
  }
}

async function start() {
  setUpSidebar();
  setUpConversation();
  setUpQuestionActions();
  setUpAnswerActions();
  setUpPassage();
  setUpScrolling();
  setUpComposer();
  setUpUploads();
  setUpKeyboard();
  setUpHiddenPages();
  setUpNetwork();
  byId("notice").lastElementChild.onclick = () => showNotice("");
  state.config = await request("api/state");
  drawUser();
  drawWelcome();
  followSample();
  openThreadInUrl();
  connect();
}

orNotice(start);
