const $ = id => document.getElementById(id);
let rater = "", aspects = [], rows = [], at = 0, shown = null, scores = [], best;  // best: a place, null for a tie

async function call(path, body) {
  const options = body ? {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)} : {};
  const reply = await fetch(path, options);
  const value = await reply.json();
  if (!reply.ok) throw new Error(value.error);
  return value;
}

const of = path => `${path}?rater=${encodeURIComponent(rater)}`;

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function medium(part) {
  if (!part.url) return element("p", {className: "missing"}, `no ${part.type} was made`);
  return element("figure", {}, part.type === "image" ? element("img", {src: part.url, alt: "a picture of this reply"})
    : !["audio", "video"].includes(part.type) ? element("a", {href: part.url, target: "_blank"}, `the ${part.type}`)
    : element(part.type, {src: part.url, controls: true, loop: part.type === "video", muted: part.type === "video", preload: "metadata"}));
}

function radio(label, name, checked, choose) {
  const made = element("button", {type: "button", onclick: choose}, label);
  made.setAttribute("role", "radio");
  made.setAttribute("aria-checked", checked);
  made.setAttribute("aria-label", name);
  return made;
}

function scale(slot, number) {
  const letter = shown.replies[slot].letter;
  const row = element("div", {className: "scale"}, ...Array.from({length: 10}, (_, n) => radio(`${n + 1}`,
    `${letter}, ${aspects[number]}: ${n + 1}`, scores[slot][number] === n + 1, () => { scores[slot][number] = n + 1; draw(); })));
  row.setAttribute("role", "radiogroup");
  row.setAttribute("aria-label", `${letter}, ${aspects[number]}`);
  return row;
}

// Only what changed: players must go on playing while scores are given.
function draw() {
  shown.replies.forEach((reply, slot) => $(`scores-${slot}`).replaceChildren(
    ...aspects.flatMap((aspect, number) => [element("span", {className: "facts"}, aspect), scale(slot, number)])));
  const choices = shown.replies.length < 2 ? [] : [...shown.replies.map((reply, slot) => [`${reply.letter} is best`, slot]), ["a tie", null]];
  $("best").replaceChildren(...choices.map(([label, slot]) => radio(label, label, best === slot, () => { best = slot; draw(); })));
  $("save").disabled = best === undefined || scores.some(row => row.includes(0));
  const done = rows.filter(row => row.done).length;
  $("progress").max = rows.length;
  $("progress").value = done;
  $("counts").textContent = `${done} of ${rows.length} rated`;
}

async function go(number) {
  if (number < 0 || number >= rows.length) return;
  at = number;
  shown = await call(of(`/screens/${encodeURIComponent(rows[at].id)}`));
  scores = shown.vote ? shown.vote.scores : shown.replies.map(() => aspects.map(() => 0));
  best = shown.vote ? shown.vote.best : shown.replies.length < 2 ? null : undefined;
  $("asked").replaceChildren(...shown.asked.map(message => element("div", {className: `bubble ${message.role}`},
    ...message.parts.map(text => element("p", {}, text)))));
  $("replies").replaceChildren(...shown.replies.map((reply, slot) => element("article", {}, element("h2", {}, reply.letter),
    element("div", {className: "bubble assistant"}, ...reply.parts.map(part => part.type === "text" ? element("p", {}, part.text.trim()) : medium(part))),
    element("div", {id: `scores-${slot}`}))));
  draw();
  window.scrollTo(0, 0);
}

const guarded = action => event => {
  event?.preventDefault();
  $("error").textContent = "";
  return action().catch(error => { $("error").textContent = error.message; });
};
$("start").onsubmit = guarded(async () => {
  rater = $("name").value.trim();
  const overview = await call(of("/overview"));
  aspects = overview.aspects;
  rows = overview.requests;
  $("who").textContent = rater;
  $("start").hidden = true;
  $("screen").hidden = $("actions").hidden = false;
  await go(Math.max(rows.findIndex(row => !row.done), 0));
});
$("save").onclick = guarded(async () => {
  $("save").disabled = true;  // a failed save enables it again when a score is given
  await call(of(`/screens/${encodeURIComponent(shown.id)}`), {scores, best});
  rows[at].done = true;
  const open = [...rows.keys()].find(n => !rows[n].done && n > at) ?? rows.findIndex(row => !row.done);
  if (open >= 0) return go(open);
  draw();
  $("counts").textContent = `all ${rows.length} rated, thank you`;
});
$("next").onclick = guarded(() => go(at + 1));
$("back").onclick = guarded(() => go(at - 1));
