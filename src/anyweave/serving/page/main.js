// The page: its pieces put together.

import { models } from "./api.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { announce, h, iconButton, notice } from "./dom.js";
import { welcome } from "./examples.js";
import { History } from "./history.js";
import { learn } from "./media.js";
import { mark, openOptions, options } from "./options.js";
import * as store from "./store.js";
import { Talk } from "./talk.js";
import { themeButton } from "./theme.js";
import { allow } from "./wire.js";

const at = (id) => document.getElementById(id);

const chat = new Chat(at("turns"), at("scroll"), {
  edit: (message) => talk.edit(message),
  again: (message) => talk.again(message),
  pick: (message) => talk.pick(message),
  keepSeed: (seed) => {
    options.set("seed", seed);
    announce(`The next replies use seed ${seed}`);
  },
});
const composer = new Composer(at("composer"), {
  onsend: (parts) => talk.send(parts),
  onstop: () => talk.stop(),
  onoptions: () =>
    openOptions({
      onclear: () => talk.removeAll(),
      onclose: () => {
        notice("");
        greet();
      },
    }),
});
const talk = new Talk({ chat, composer, view: { shown } });
const history = new History(at("history"), {
  open: (id) => talk.open(id),
  fresh: () => {
    talk.fresh();
    composer.draft.focus();
  },
  remove: (id) => talk.remove(id),
  take: (id) => talk.take(id),
});

const model = h("span", { class: "model" });
at("bar").append(
  iconButton("menu", "Conversations", () => history.toggle(), {
    class: "icon-button only-narrow",
    "aria-controls": "history",
    "aria-expanded": "false",
  }),
  h(
    "p",
    { class: "name" },
    h("img", { src: "page/mark.svg", alt: "", width: 24, height: 24 }),
    h("strong", {}, "anyweave"),
    model,
  ),
  themeButton(h("button", { type: "button", class: "icon-button" })),
);
// Not by its address: that names the conversation.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  composer.draft.focus();
});
welcome(at("welcome"), (parts) => talk.send(parts));
mark();

/** The address names the conversation: reloading and going back lead to it. */
async function shown() {
  const { conversation } = talk;
  const begun = conversation.messages.size > 0;
  at("welcome").hidden = begun;
  const address = begun ? `#${conversation.id}` : location.pathname;
  if (begun ? location.hash !== address : location.hash)
    window.history.pushState(null, "", address);
  document.title = begun ? `${conversation.title} · anyweave` : "anyweave";
  try {
    history.show(await store.list(), conversation.id);
  } catch (error) {
    notice(`Conversations are not kept in this browser: ${error.message}`);
  }
}

async function addressed() {
  const id = location.hash.slice(1);
  if (id === talk.conversation.id) return;
  if (!id || !(await talk.open(id).catch(() => false))) talk.fresh();
}

/** Say who answers here, or why nobody does. */
async function greet() {
  try {
    const served = await models();
    model.textContent = served.map(({ id }) => id).join(", ");
    for (const one of served) {
      allow(one);
      composer.offer(learn(one));
    }
  } catch (error) {
    notice(error.message);
  }
}

addEventListener("popstate", addressed);
// What a button could not do; that a sound was paused before it began is no trouble.
addEventListener("unhandledrejection", ({ reason }) => {
  if (reason.name !== "AbortError") notice(reason.message);
});
await addressed();
await shown();
if (matchMedia("(pointer: fine)").matches) composer.draft.focus();
await greet();
