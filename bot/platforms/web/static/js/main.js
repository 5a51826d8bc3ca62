/** Starts the playground's page: sets up every part, loads the configuration, and connects to the event stream. */

import { setUpAddressOffer } from "./address-offer.js";
import { setUpAnswerActions } from "./answer-actions.js";
import { request } from "./api.js";
import { setUpComposer } from "./composer.js";
import { openThreadInUrl, setUpConversation } from "./conversation.js";
import { setUpCopying } from "./copying.js";
import { byId, orNotice, showNotice } from "./dom.js";
import { connect, setUpHiddenPages, setUpNetwork } from "./events.js";
import { closePassage, isPassageOpen, setUpPassage } from "./passage.js";
import { setUpQuestionActions } from "./question-actions.js";
import { focusQuestion } from "./question-box.js";
import { setUpScrolling } from "./scroll.js";
import { drawUser, isSidebarOpen, openSidebar, setUpSidebar } from "./sidebar.js";
import { state } from "./state.js";
import { setUpThreadActions } from "./thread-actions.js";
import { setUpUploads } from "./uploads.js";
import { setUpViewer } from "./viewer.js";
import { setUpWelcome } from "./welcome.js";

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

async function start() {
  setUpSidebar();
  setUpConversation();
  setUpThreadActions();
  setUpQuestionActions();
  setUpAnswerActions();
  setUpPassage();
  setUpViewer();
  setUpCopying();
  setUpScrolling();
  setUpComposer();
  setUpUploads();
  setUpAddressOffer();
  setUpWelcome();
  setUpKeyboard();
  setUpHiddenPages();
  setUpNetwork();
  byId("notice").lastElementChild.onclick = () => showNotice("");
  state.config = await request("api/state");
  drawUser();
  openThreadInUrl();
  connect();
}

orNotice(start);
