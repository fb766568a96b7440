const $ = id => document.getElementById(id);
let rows = [], at = 0, shown = null;

async function call(path, body) {
  const options = body ? {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)} : {};
  const reply = await fetch(path, options);
  const value = await reply.json();
  if (!reply.ok) throw new Error(value.error);
  return value;
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function medium(part) {
  const caption = element("figcaption", {}, `${part.type}: ${part.caption}`);
  if (!part.url) return element("figure", {className: "missing"}, caption, element("div", {className: "origin"}, "not found yet"));
  const player = part.type === "image" ? element("img", {src: part.url, alt: part.caption})
    : element(part.type, {src: part.url, controls: true, loop: part.type === "video", muted: part.type === "video", preload: "metadata"});
  return element("figure", {}, player, caption, element("div", {className: "origin"}, part.origin));
}

function draw() {
  $("topic").textContent = shown.topic;
  $("facts").textContent = `${shown.id} · ${shown.writer} · ${shown.tags.join(", ")}`;
  const stamp = {open: "", accept: shown.edited ? "accepted, edited" : "accepted", reject: "rejected"}[shown.decision];
  $("stamp").textContent = stamp;
  $("stamp").className = `stamp ${shown.decision}`;
  $("talk").replaceChildren(...shown.messages.map(message => element("div", {className: `bubble ${message.role}`},
    ...message.parts.map(part => part.type === "text" ? element("p", {}, part.text.trim()) : medium(part)))));
  const done = rows.filter(row => row.decision !== "open").length;
  const count = decision => rows.filter(row => row.decision === decision).length;
  $("progress").max = rows.length;
  $("progress").value = done;
  $("counts").textContent = `${done} of ${rows.length} · ${count("accept")} accepted · ${count("reject")} rejected`;
  window.scrollTo(0, 0);
}

async function go(number) {
  if (number < 0 || number >= rows.length) return;
  at = number;
  shown = await call(`/dialogues/${encodeURIComponent(rows[at].id)}`);
  history.replaceState(null, "", `#${rows[at].id}`);
  draw();
}

function step(by) {
  const only = $("only").value;
  for (let n = at + by; n >= 0 && n < rows.length; n += by)
    if (!only || rows[n].decision === only) return go(n);
}

async function decide(decision, text) {
  if (decision !== "open" && shown.edited) text ??= shown.text;  // undoing forgets the edit as well
  const row = rows[at];
  shown = await call(`/dialogues/${encodeURIComponent(shown.id)}`, {decision, text: text ?? null});
  row.decision = shown.decision;
  draw();
  if (decision !== "open") await step(1);
}

function edit(open) {
  $("editor").hidden = !open;
  $("talk").hidden = $("actions").hidden = open;
  $("error").textContent = "";
  if (open) { $("text").value = shown.text.replaceAll("\nHuman:", "\n\nHuman:"); $("text").focus(); $("text").setSelectionRange(0, 0); }
}

// One thing at a time: a second decision would be about a dialogue that has not been seen yet.
let busy = false;
const guarded = (action, told = alert) => async () => {
  if (busy) return;
  busy = true;
  try { await action(); } catch (error) { told(error.message); } finally { busy = false; }
};
const save = guarded(async () => {
  await decide("accept", $("text").value.replaceAll("\n\nHuman:", "\nHuman:"));
  edit(false);
}, message => { $("error").textContent = message; });
$("accept").onclick = guarded(() => decide("accept"));
$("reject").onclick = guarded(() => decide("reject"));
$("undo").onclick = guarded(() => decide("open"));
$("next").onclick = guarded(async () => step(1));
$("back").onclick = guarded(async () => step(-1));
$("edit").onclick = () => edit(true);
$("cancel").onclick = () => edit(false);
$("editor").onsubmit = event => { event.preventDefault(); save(); };
const keys = {a: "accept", r: "reject", e: "edit", u: "undo", j: "next", k: "back", ArrowRight: "next", ArrowLeft: "back"};
document.onkeydown = event => {
  if (!$("editor").hidden) {
    if (event.key === "Escape") edit(false);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || ["SELECT", "VIDEO", "AUDIO"].includes(event.target.tagName)) return;
  if (keys[event.key] && !event.repeat) { event.preventDefault(); $(keys[event.key]).click(); }
};

call("/dialogues").then(async overview => {
  rows = overview.dialogues;
  if (!rows.length) { $("topic").textContent = "There is nothing to review."; return; }
  const asked = rows.findIndex(row => `#${row.id}` === location.hash);
  const open = rows.findIndex(row => row.decision === "open");
  await go(asked >= 0 ? asked : Math.max(open, 0));
});
