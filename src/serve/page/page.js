"use strict";
/* The page of a running service. It asks the same addresses as any other client: see openapi.json. */

const COLORS = 8;
const POLL_MS = 2000;
const KEPT_SECONDS = 120;
const WIDTH = 640, HEIGHT = 420, MARGIN = 34;

const $ = (id) => document.getElementById(id);
const color = (slot) => `var(--c${slot % COLORS})`;
const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0)} %`;

let token = sessionStorage.getItem("token") || "";
let user = null;        // what is shown, as /v1/users/{id} tells it
let before = null;      // the same before the last change
let basis = null;       // of the map: kept while a user is shown, so that what moves has moved
let picked = -1;        // index of a behavior
let following = null;   // the stream of the user's changes
let lastAnswer = 0;     // when the service last answered

/* ---- asking ---- */

function headers() {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

class Refusal extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

async function ask(path, signal) {
  const answer = await fetch(path, { headers: headers(), signal, cache: "no-store" });
  lastAnswer = Date.now();
  if (answer.status === 401) $("token-form").hidden = false;
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Refusal(answer.status, body.error || `status ${answer.status}`), { body });
  return body;
}

/* ---- words ---- */

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function ago(time) {
  if (time === null || time === undefined) return "never";
  const seconds = (Date.now() - time) / 1000;
  if (seconds < 0) return "in the future";
  for (const [unit, length] of [["year", 31557600], ["day", 86400], ["hour", 3600], ["minute", 60]])
    if (seconds >= length) {
      const count = Math.floor(seconds / length);
      return `${count} ${unit}${count === 1 ? "" : "s"} ago`;
    }
  return seconds < 2 ? "just now" : `${Math.floor(seconds)} s ago`;
}

function compact(number, digits = 3) {
  if (number === null || number === undefined || !isFinite(number)) return "–";
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]])
    if (Math.abs(number) >= size) return `${Number((number / size).toPrecision(digits))} ${unit}`;
  return String(Number(number.toPrecision(digits)));
}

function titleOf(item) {
  const known = user && user.items && user.items[item];
  return (known && known.title) || item;
}

function picture(item) {
  const known = user && user.items && user.items[item];
  return known && known.image ? [element("img", { src: known.image, alt: "", loading: "lazy", referrerpolicy: "no-referrer", onerror: (event) => event.target.remove() })] : [];
}

/* The interest that takes most of a behavior; -1: none does. */
function leading(behavior) {
  let best = -1;
  (behavior.coupling || []).forEach((share, slot) => { if (share > 0 && (best < 0 || share > behavior.coupling[best])) best = slot; });
  return best;
}

function tell(behavior, index, all) {
  const slot = leading(behavior);
  const kind = behavior.type ? `${behavior.type}, ` : "";
  const shares = (behavior.coupling || []).map((share, at) => [share, at]).filter(([share]) => share >= 0.005)
    .sort((a, b) => b[0] - a[0]).slice(0, 3).map(([share, at]) => `interest ${at + 1} ${percent(share)}`).join(", ");
  const why = behavior.known === false ? "the model does not know this item" : slot < 0 ? "older than the model's window" : shares;
  return `${titleOf(behavior.item)} – ${kind}${ago(behavior.time)} (${index + 1} of ${all}): ${why}`;
}

/* ---- the map ---- */

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
function unit(vector) {
  const length = Math.sqrt(dot(vector, vector));
  return length > 0 ? vector.map((value) => value / length) : vector;
}

/* The two directions in which the rows differ most, by power iteration. */
function directions(rows) {
  const dim = rows[0].length;
  const mean = rows[0].map((_, c) => rows.reduce((sum, row) => sum + row[c], 0) / rows.length);
  const centred = rows.map((row) => row.map((value, c) => value - mean[c]));
  const found = [];
  for (let k = 0; k < 2; k++) {
    let at = unit(Array.from({ length: dim }, (_, c) => Math.sin(1 + c * (k + 1))));
    for (let step = 0; step < 60; step++) {
      const next = new Array(dim).fill(0);
      for (const row of centred) {
        const share = dot(row, at);
        for (let c = 0; c < dim; c++) next[c] += share * row[c];
      }
      for (const other of found) {
        const share = dot(next, other);
        for (let c = 0; c < dim; c++) next[c] -= share * other[c];
      }
      if (dot(next, next) < 1e-18) break;
      at = unit(next);
    }
    const peak = at.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
    found.push(peak < 0 ? at.map((value) => -value) : at);
  }
  return { mean, axes: found };
}

function fit(rows) {
  const made = directions(rows);
  const places = rows.map((row) => made.axes.map((axis) => dot(row.map((value, c) => value - made.mean[c]), axis)));
  made.centre = [0, 1].map((k) => (Math.max(...places.map((p) => p[k])) + Math.min(...places.map((p) => p[k]))) / 2);
  const reach = [0, 1].map((k) => Math.max(1e-6, ...places.map((p) => Math.abs(p[k] - made.centre[k]))));
  made.scale = 0.86 * Math.min((WIDTH / 2 - MARGIN) / reach[0], (HEIGHT / 2 - MARGIN) / reach[1]);
  made.rows = rows.length;
  return made;
}

function place(vector) {
  const from = unit(vector);
  const [x, y] = basis.axes.map((axis, k) => dot(from.map((value, c) => value - basis.mean[c]), axis) - basis.centre[k]);
  const inside = (value, size) => Math.min(size - 14, Math.max(14, value));
  return [inside(WIDTH / 2 + x * basis.scale, WIDTH), inside(HEIGHT / 2 - y * basis.scale, HEIGHT)];
}

function comparable() {
  return user.interests && user.interests.length > 0 && user.items &&
    Object.values(user.items).some((item) => item.vector && item.vector.length === user.dim);
}

function drawMap() {
  const map = $("map");
  $("map-card").hidden = !comparable();
  if (!comparable()) { map.replaceChildren(); return; }
  const shown = user.behaviors.map((behavior, index) => ({ behavior, index, vector: (user.items[behavior.item] || {}).vector }))
    .filter((one) => one.vector);
  const rows = [...new Map(shown.map((one) => [one.behavior.item, unit(one.vector)])).values(), ...user.interests.map((one) => unit(one.vector))];
  if (!basis || rows.length > 1.5 * basis.rows + 4) { basis = fit(rows); map.replaceChildren(); }
  const old = new Map([...map.querySelectorAll("[data-key]")].map((node) => [node.dataset.key, node]));
  const total = user.behaviors.length;
  const near = Math.min(2, Math.max(1, WIDTH / 1.3 / (map.clientWidth || WIDTH))); // a narrow screen shows larger marks
  const parts = [];
  for (const { behavior, index, vector } of shown) {
    const key = `b${total - index}-${user.version}`;
    const slot = leading(behavior);
    const [x, y] = place(vector);
    const node = drawn("circle", { class: "behavior", r: (6 * near).toFixed(1), "data-key": key, "data-index": index,
      transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, "fill-opacity": (0.18 + 0.72 * ((index + 1) / total) ** 2).toFixed(2) });
    node.style.fill = slot < 0 ? "var(--soft)" : color(slot);
    if (index === picked) node.classList.add("picked");
    if (index === total - 1 && before) node.classList.add("fresh");
    parts.push(node);
  }
  const order = user.interests.map((_, slot) => slot).sort((a, b) => user.interests[b].weight - user.interests[a].weight); // small ones on top
  for (const slot of order) {
    const interest = user.interests[slot], key = `i${slot}`;
    const [x, y] = place(interest.vector);
    let node = old.get(key);
    if (node && node.dataset.at) {
      const [fromX, fromY] = node.dataset.at.split(" ").map(Number);
      if (Math.hypot(x - fromX, y - fromY) > 3) {
        const trail = drawn("line", { class: "trail", x1: fromX, y1: fromY, x2: x.toFixed(1), y2: y.toFixed(1) });
        trail.style.stroke = color(slot);
        parts.push(trail);
      }
    } else {
      node = drawn("g", { class: "interest", "data-key": key }, drawn("circle", {}), drawn("text", {}, String(slot + 1)));
      node.style.transform = `translate(${x}px, ${y}px)`;
    }
    node.firstChild.setAttribute("r", (near * (11 + 11 * Math.sqrt(Math.max(0, interest.weight)))).toFixed(1));
    node.lastChild.style.fontSize = `${(13 * near).toFixed(0)}px`;
    node.firstChild.style.fill = color(slot);
    node.dataset.at = `${x.toFixed(1)} ${y.toFixed(1)}`;
    node.dataset.slot = slot;
    requestAnimationFrame(() => { node.style.transform = `translate(${x}px, ${y}px)`; });
    parts.push(node);
  }
  map.replaceChildren(...parts);
  map.setAttribute("aria-label", `Map of ${shown.length} behaviors and ${user.interests.length} interests. ` + user.interests.map((interest, slot) =>
    `Interest ${slot + 1} has ${percent(interest.weight)}, nearest ${(interest.nearest || []).slice(0, 2).map((near) => titleOf(near.item)).join(" and ") || "no item"}`).join("; "));
}

/* ---- the rest of a user ---- */

function drawInterests() {
  const counts = (slot) => {
    const mine = user.behaviors.filter((behavior) => leading(behavior) === slot);
    return mine.length ? `newest ${ago(mine[mine.length - 1].time)}, ${mine.length} of ${user.behaviors.length} behaviors` : "no kept behavior is mostly its own";
  };
  $("interests").replaceChildren(...(user.interests || []).map((interest, slot) => {
    const badge = element("span", { class: "badge", "aria-label": `Interest ${slot + 1}` }, String(slot + 1));
    badge.style.background = color(slot);
    const fill = element("span");
    fill.style.width = `${100 * interest.weight}%`;
    fill.style.background = color(slot);
    const near = (interest.nearest || []).slice(0, 4).flatMap((one, at) => [at ? ", " : "", ...picture(one.item), titleOf(one.item)]);
    return element("li", {},
      element("div", { class: "row" }, badge, element("div", { class: "bar", "aria-hidden": "true" }, fill), element("span", { class: "percent" }, percent(interest.weight))),
      element("p", { class: "near" }, "near ", ...(near.length ? near : ["no item"])),
      element("p", { class: "near" }, counts(slot)));
  }));
  if (!user.interests || user.interests.length === 0)
    $("interests").append(element("li", {}, user.interests ? "No interests: the model knows none of the user's items." : "No model is loaded."));
}

function drawBand() {
  const behaviors = user.behaviors, band = $("band"), svg = band.firstChild;
  const total = Math.max(1, behaviors.length);
  svg.setAttribute("viewBox", `0 0 ${total} 1`);
  const parts = [];
  behaviors.forEach((behavior, index) => {
    let y = 0;
    (behavior.coupling || []).forEach((share, slot) => {
      if (!(share > 0)) return;
      const rect = drawn("rect", { x: index + 0.04, y: y.toFixed(4), width: 0.92, height: Math.min(share, 1 - y).toFixed(4) });
      rect.style.fill = color(slot);
      parts.push(rect);
      y = Math.min(1, y + share);
    });
  });
  if (picked >= 0) parts.push(drawn("rect", { class: "chosen", x: picked + 0.02, y: 0.005, width: 0.96, height: 0.99 }));
  svg.replaceChildren(...parts);
  drawAxis();
  band.setAttribute("aria-valuemax", String(total));
  pick(picked >= 0 ? picked : behaviors.length - 1, false);
}

function drawAxis() {
  const behaviors = user.behaviors;
  const times = behaviors.length ? [behaviors[0], behaviors[Math.floor((behaviors.length - 1) / 2)], behaviors[behaviors.length - 1]] : [];
  $("band-axis").replaceChildren(...times.map((behavior) => element("span", {}, ago(behavior.time))));
}

function pick(index, redraw = true) {
  if (!user || user.behaviors.length === 0) { $("picked").textContent = "No behaviors are kept."; return; }
  const moved = index !== picked;
  picked = Math.max(0, Math.min(user.behaviors.length - 1, index));
  const text = tell(user.behaviors[picked], picked, user.behaviors.length);
  $("picked").textContent = text;
  $("band").setAttribute("aria-valuenow", String(picked + 1));
  $("band").setAttribute("aria-valuetext", text);
  if (redraw && moved) { drawBand(); drawMap(); }
}

function drawRecommended(list) {
  $("recommended").replaceChildren(...list.map((one) => {
    const badge = element("span", { class: "badge", "aria-label": `by interest ${one.slot + 1}` }, String(one.slot + 1));
    badge.style.background = color(one.slot);
    return element("li", {}, badge, ...picture(one.item), element("span", { class: "name", title: one.item }, titleOf(one.item)),
      ...(one.in_history ? [element("span", { class: "seen" }, "seen")] : []));
  }));
  if (list.length === 0) $("recommended").append(element("li", {}, "Nothing."));
}

function drawTable() {
  const slots = (user.interests || []).map((_, slot) => slot);
  $("table").tHead.replaceChildren(element("tr", {}, ...["item", "type", "time"].map((name) => element("th", { scope: "col" }, name)),
    ...slots.map((slot) => element("th", { scope: "col", class: "number" }, `interest ${slot + 1}`))));
  $("table").tBodies[0].replaceChildren(...user.behaviors.slice().reverse().map((behavior) => element("tr", {},
    element("td", {}, titleOf(behavior.item)), element("td", {}, behavior.type || "–"), element("td", {}, new Date(behavior.time).toISOString()),
    ...slots.map((slot) => element("td", { class: "number" }, behavior.coupling ? percent(behavior.coupling[slot] || 0) : "–")))));
}

function tellChange() {
  if (!before || before.user_id !== user.user_id || before.version >= user.version) { $("change").textContent = ""; return; }
  const newest = user.behaviors[user.behaviors.length - 1];
  const events = user.version - before.version;
  const words = [events === 1 ? `One event: ${titleOf(newest.item)}${newest.type ? ` (${newest.type})` : ""}.` : `${events} events, the last: ${titleOf(newest.item)}.`];
  (user.interests || []).forEach((interest, slot) => {
    const old = before.interests && before.interests[slot];
    if (!old) { words.push(`Interest ${slot + 1} is new.`); return; }
    const turned = 1 - dot(unit(interest.vector), unit(old.vector)), gained = interest.weight - old.weight;
    if (turned > 0.0005 || Math.abs(gained) >= 0.005)
      words.push(`Interest ${slot + 1}: ${gained >= 0 ? "+" : "−"}${percent(Math.abs(gained))}, turned by ${(Math.acos(Math.max(-1, Math.min(1, 1 - turned))) * 180 / Math.PI).toFixed(1)}°.`);
  });
  $("change").textContent = words.join(" ");
}

function drawUser() {
  $("message").hidden = true;
  $("user-body").hidden = false;
  $("user").classList.remove("is-stale");
  $("user-title").textContent = user.user_id;
  drawFacts();
  tellChange();
  drawInterests();
  drawBand();
  drawMap();
  drawTable();
}

function drawFacts() {
  if (!user) return;
  const count = user.interests ? user.interests.length : user.slots;
  $("user-facts").textContent = `version ${user.version} · last event ${ago(user.event_time)} · ${count} interest${count === 1 ? "" : "s"} · ` +
    `${user.behaviors.length} behaviors · partition ${user.partition}${user.model ? ` · ${user.model}` : ""}`;
}

function say(title, text) {
  user = before = basis = null;
  $("user-title").textContent = title;
  $("user-facts").textContent = "";
  $("user-body").hidden = true;
  $("message").hidden = false;
  $("message").textContent = text;
}

/* ---- choosing a user ---- */

const path = (id) => `v1/users/${encodeURIComponent(id)}`;

async function load(id, quiet = false) {
  try {
    const found = await ask(`${path(id)}?vectors=1`);
    if (quiet && user && found.version === user.version) return;
    const held = user && user.user_id === found.user_id ? user : null;
    before = held;
    if (!held) { basis = null; picked = -1; } else picked = -1;
    user = found;
    drawUser();
    ask(`${path(id)}/recommend?n=12`).then((answer) => { if (!user || user.user_id !== found.user_id) return;
      user.items = { ...(answer.items || {}), ...user.items };
      drawRecommended(answer.recommended || []);
    }).catch(() => drawRecommended([]));
  } catch (error) {
    if (!(error instanceof Refusal)) { if (!quiet) say(id, "The service does not answer. Is it running?"); return; }
    if (error.status === 404) say(id, `No such user: ${error.message}. Should an event of it come, it will show here.`);
    else if (!quiet) say(id, error.message);
  }
}

function stopFollowing() {
  if (following) following.abort();
  following = null;
}

/* Reads the stream of a user's changes by fetch, because an EventSource cannot show a token. Where there is no stream, it asks now and then. */
async function follow(id) {
  stopFollowing();
  const mine = following = new AbortController();
  while (!mine.signal.aborted) {
    try {
      const answer = await fetch(`${path(id)}/live`, { headers: headers(), signal: mine.signal, cache: "no-store" });
      if (!answer.ok || !answer.body) throw new Refusal(answer.status, "no stream");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        const end = text.lastIndexOf("\n\n");
        if (end < 0) continue;
        if (/^data:/m.test(text.slice(0, end))) await load(id, true);
        text = text.slice(end + 2);
      }
    } catch (error) {
      if (mine.signal.aborted) return;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    if (!mine.signal.aborted) await load(id, true);
  }
}

async function open(id) {
  $("query").value = id;
  stopFollowing();
  await load(id);
  follow(id);
}

function go(id) {
  const hash = `#user=${encodeURIComponent(id)}`;
  if (location.hash === hash) open(id); else location.hash = hash;
}

function fromAddress() {
  const match = /^#user=(.*)$/.exec(location.hash);
  if (!match) return;
  let id = match[1];
  try { id = decodeURIComponent(match[1]); } catch (error) { /* as it stands */ }
  if (id) open(id);
}

/* ---- the service ---- */

const history = [];
const TILES = [
  ["events", "events/s", (now, then, s) => (now.counts.accepted + now.counts.replayed - then.counts.accepted - then.counts.replayed) / s, (v) => compact(v)],
  ["records", "records published/s", (now, then, s) => (now.counts.records - then.counts.records) / s, (v) => compact(v)],
  ["lag", "lag, records", (now) => now.counts.lag, (v) => compact(v)],
  ["latency", "event to visible, p99", (now) => now.publish_ms.p99, (v) => `${compact(v)} ms`],
  ["users", "users in memory", (now) => now.counts.users, (v) => compact(v)],
  ["memory", "memory", (now) => now.resident_bytes, (v) => `${compact(v)}B`],
];

function spark(values) {
  const top = Math.max(...values, 1e-9), svg = drawn("svg", { viewBox: `0 0 ${KEPT_SECONDS} 30`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const step = POLL_MS / 1000, from = KEPT_SECONDS - step * (values.length - 1);
  const line = values.map((value, at) => `${at ? "L" : "M"}${(from + at * step).toFixed(1)} ${(28 - 26 * value / top).toFixed(2)}`).join("");
  svg.append(drawn("path", { d: line || "M0 28" }));
  return svg;
}

function drawTiles() {
  const now = history[history.length - 1];
  $("tiles").replaceChildren(...TILES.map(([key, label, read, show]) => {
    const values = [];
    for (let at = 1; at < history.length; at++) values.push(Math.max(0, read(history[at], history[at - 1], (history[at].at - history[at - 1].at) / 1000)) || 0);
    const value = values.length ? values[values.length - 1] : read(now, now, 1);
    return element("div", { class: "tile", "data-tile": key }, element("b", {}, isFinite(value) ? show(value) : "–"), element("span", {}, label), spark(values));
  }));
}

function mood(kind, text) {
  $("state").className = `is-${kind}`;
  if ($("state-text").textContent !== text) $("state-text").textContent = text;
}

function drawPartitions(answer) {
  const topics = new Set(answer.partitions.map((row) => row.topic));
  $("partitions-topic").textContent = topics.size === 1 ? [...topics][0] : "";
  $("partitions").tBodies[0].replaceChildren(...answer.partitions.map((row) => element("tr", {},
    element("td", {}, topics.size === 1 ? String(row.partition) : `${row.topic}/${row.partition}`), element("td", { title: row.reason || "" }, row.state),
    element("td", { class: "number" }, row.next === null ? "–" : String(row.next)), element("td", { class: "number" }, row.lag === null ? "–" : compact(row.lag)))));
}

function drawEvents(answer) {
  $("events").replaceChildren(...(answer.events || []).slice(-12).reverse().map((event) => element("li", {},
    element("button", { type: "button", onclick: () => go(event.user_id), title: event.user_id }, event.user_id),
    element("span", { class: "what" }, event.kind === "forget" ? "forgotten" : `${event.type || "event"} ${event.item_id}`))));
}

async function look() {
  try {
    const [stats, health] = await Promise.all([ask("v1/stats"), ask("healthz").catch((error) => error.body || {})]);
    stats.at = Date.now();
    if (history.length && (stats.started_s !== history[0].started_s)) history.length = 0;
    history.push(stats);
    if (history.length > KEPT_SECONDS * 1000 / POLL_MS + 1) history.shift();
    drawTiles();
    $("service-facts").textContent = `${stats.application_id} · ${stats.version} · up since ${new Date(1000 * stats.started_s).toLocaleString()}`;
    const ready = await ask("readyz").catch((error) => error.body || { ready: false, reason: error.message });
    const silent = Math.max(0, ...(health.workers || []).map((worker) => worker.brokers_silent_s || 0));
    const stuck = (health.workers || []).some((worker) => worker.hangs);
    if (stuck) mood("bad", "a worker hangs");
    else if (silent > 2) mood("bad", `no broker has answered for ${Math.round(silent)} s`);
    else if (!ready.ready) mood("warn", `not ready: ${ready.reason || "starting"}`);
    else mood("good", "running");
    drawPartitions(await ask("v1/partitions"));
    drawEvents(await ask("v1/events?limit=12").catch(() => ({ events: [] })));
    $("service").classList.remove("is-stale");
  } catch (error) {
    if (error instanceof Refusal) mood(error.status === 401 ? "warn" : "bad", error.message);
    else {
      mood("bad", lastAnswer ? `the service has not answered for ${Math.round((Date.now() - lastAnswer) / 1000)} s` : "the service does not answer");
      $("service").classList.add("is-stale");
      if (user) $("user").classList.add("is-stale");
    }
  }
  if (user) { drawFacts(); drawInterests(); drawAxis(); } // their ages
  setTimeout(look, POLL_MS);
}

/* ---- hands ---- */

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("query").value) { go($("query").value); $("user").focus(); }
});
$("random").addEventListener("click", async () => {
  try {
    const { events } = await ask("v1/events?limit=200");
    const ids = [...new Set((events || []).filter((event) => event.kind === "accepted" && !event.cut).map((event) => event.user_id))].filter((id) => !user || id !== user.user_id);
    if (ids.length) go(ids[Math.floor(Math.random() * ids.length)]);
    else if (!user) say("A user", "No event has come yet, so there is nobody to choose from.");
  } catch (error) { stopFollowing(); say("A user", error.message); }
});
$("hot").addEventListener("click", async () => {
  const list = $("hot-list"), shown = !list.hidden;
  list.hidden = shown;
  $("hot").setAttribute("aria-expanded", String(!shown));
  if (shown) return;
  try {
    const { users } = await ask("v1/hot");
    list.replaceChildren(...(users || []).slice(0, 20).map((one) => element("li", {}, element("button", { type: "button", onclick: () => go(one.user_id) }, `${one.user_id} `, element("small", {}, compact(one.count))))));
    if (!users || users.length === 0) list.replaceChildren(element("li", {}, "No event has come yet."));
  } catch (error) { list.replaceChildren(element("li", {}, error.message)); }
});
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  sessionStorage.setItem("token", token);
  $("token-form").hidden = true;
  fromAddress();
});
$("band").addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
  if (event.key in steps) pick(picked + steps[event.key]);
  else if (event.key === "Home") pick(0);
  else if (event.key === "End") pick(user.behaviors.length - 1);
  else return;
  event.preventDefault();
});
$("band").addEventListener("pointerdown", (event) => {
  const box = $("band").getBoundingClientRect();
  if (user) pick(Math.floor((event.clientX - box.left) / box.width * user.behaviors.length));
});
$("map").addEventListener("pointermove", (event) => {
  const tip = $("tip"), { index, slot } = event.target.dataset || {}, above = event.target.closest("[data-slot]");
  const behavior = index !== undefined && user ? user.behaviors[index] : null;
  const interest = !behavior && above && user ? user.interests[above.dataset.slot] : null;
  tip.hidden = !behavior && !interest;
  if (tip.hidden) return;
  tip.textContent = behavior ? tell(behavior, Number(index), user.behaviors.length)
    : `Interest ${Number(above.dataset.slot) + 1}: ${percent(interest.weight)}, near ${(interest.nearest || []).slice(0, 3).map((near) => titleOf(near.item)).join(", ") || slot || "no item"}`;
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - 310)}px`;
  tip.style.top = `${Math.min(event.clientY + 14, innerHeight - 60)}px`;
});
$("map").addEventListener("pointerleave", () => { $("tip").hidden = true; });
$("map").addEventListener("click", (event) => { if (event.target.dataset.index !== undefined) pick(Number(event.target.dataset.index)); });
addEventListener("hashchange", fromAddress);

fromAddress();
look();
