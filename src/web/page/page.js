// The page: what comes over the socket goes to tiles, loudspeaker and chat (src/web/message.rs has the bytes).
import { Camera, hasCamera } from "./camera.js";
import { Link } from "./link.js";
import { Tile, layOut } from "./pictures.js";
import { Sound } from "./sound.js";

const $ = (id) => document.getElementById(id);
const tiles = new Map();
const figures = { pictures: 0, bytes: 0, blocks: 0 };
const link = new Link({ ready, text: hear, bytes: take, gone });
const sound = new Sound();
const camera = new Camera(send, (why) => films({ films: null, why }));
let large = null;
// Who is there was said since the socket is open: who is missing from then on has left.
let knows = false;
let unread = 0;

// What is the matter; nothing where pictures say it themselves.
const word = (text) => { $("word").textContent = text; };
const note = (text) => Object.assign($("note"), { textContent: text, hidden: !text, className: "" });
// What nobody has to do anything about passes by itself.
let passed;
function passing(text) {
  if (!$("note").hidden && !$("note").className) return;
  note(text);
  $("note").className = "calm";
  clearTimeout(passed);
  passed = setTimeout(() => $("note").className && note(""), 5000);
}
const press = (id, on) => $(id).setAttribute("aria-pressed", String(on));

function ready() {
  knows = false;
  link.tell({ hidden: document.hidden, hears: sound.on, looks: large });
  if (camera.on) link.tell({ films: camera.name });
}

function gone(why) {
  for (const tile of tiles.values()) tile.dropParts();
  if (why === "token") return ask("That secret is not the one of this program now. Paste the address that it printed when it was started last.");
  word(why === "full" ? "16 browsers are watching already, which is the most. Trying again …" : "Connection lost. Trying again …");
}

// What a secret looks like; it stands behind # in the address.
const SECRET = /^[\w-]{16,128}$/;

function ask(why) {
  word("");
  Object.assign($("why"), { textContent: why, hidden: !why });
  $("door").hidden = false;
  $("secret").focus();
}
$("door").onsubmit = (event) => {
  event.preventDefault();
  const token = $("secret").value.trim().replace(/^.*#/, "");
  if (!SECRET.test(token)) return ask("There is no secret in that. Paste all of the address, with what stands behind the #.");
  history.replaceState(null, "", `#${token}`);
  $("door").hidden = true;
  word("connecting …");
  link.connect(token);
};

function hear(said) {
  if ("chats" in said) {
    document.title = said.name;
    $("talk").hidden = !said.chats;
    $("camera").hidden = !(said.cameras && hasCamera());
    word(tiles.size ? "" : "waiting for a picture");
  }
  if (said.tracks) show(said.tracks);
  if ("said" in said) write(said.by, said.said);
  if (said.slower) write("", "Too fast: that was not said. Wait a second.");
  if (said.long) write("", "Too long: that was not said.");
  if ("films" in said) films(said);
}

function take(data) {
  const view = new DataView(data);
  const [kind, second, track, at] = [view.getUint8(0), view.getUint8(1), view.getUint16(2, true), view.getFloat64(8, true)];
  figures.bytes += data.byteLength;
  if (kind === 1) tiles.get(track)?.part(new Uint8Array(data, 16), second === 1, at);
  if (kind === 2) {
    figures.blocks += 1;
    // One's own voice is not for one's own ears.
    if (camera.on && tiles.get(track)?.name === camera.name) return;
    sound.block(track, second, new Int16Array(data, 16));
  }
}

// A picture of this track is on the page, or will not be.
function shown(track, at, seen) {
  const message = new DataView(new ArrayBuffer(4));
  message.setUint8(0, 1);
  message.setUint16(2, track, true);
  link.tell(message.buffer);
  if (!seen || !link.isOpen) return;
  figures.pictures += 1;
  if (link.clock) figures.age = performance.now() + link.clock.ahead - at;
  word("");
}

function show(tracks) {
  for (const [id, tile] of tiles) {
    // A program that was started anew counts anew.
    if (tracks.some((track) => track.id === id && track.name === tile.name)) continue;
    tile.remove();
    tiles.delete(id);
    sound.end(id);
    if (large === id) choose(null);
    if (knows && !tracks.some((track) => track.name === tile.name)) passing(`${tile.name} left`);
  }
  knows = true;
  for (const { id, name } of tracks) {
    if (tiles.has(id)) continue;
    const tile = new Tile(id, name, shown, arrange);
    tile.figure.onclick = () => choose(large === id ? null : id);
    tiles.set(id, tile);
    $("grid").append(tile.figure);
  }
  if (!tiles.size) word("waiting for a picture");
  arrange();
}

// Who is not seen is not sent.
function choose(id) {
  large = id;
  link.tell({ looks: large });
  arrange();
}
function arrange() {
  layOut($("grid"), [...tiles.values()], large === null ? null : tiles.get(large));
}
new ResizeObserver(arrange).observe($("grid"));

async function listen(on) {
  await sound.turn(on).catch((error) => note(`No sound: ${error.message}`));
  $("tap").hidden = true;
  press("sound", sound.on);
  link.tell({ hears: sound.on });
}
// A call came in, or the screen was locked: some browsers then want to be touched again.
sound.changed = (runs) => { $("tap").hidden = !(sound.on && !runs); };
$("tap").onclick = () => listen(true);
$("sound").onclick = () => listen(!sound.on);

$("snapshot").onclick = () => {
  for (const tile of large === null ? tiles.values() : [tiles.get(large)]) tile.keep();
};
$("full").onclick = () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen());
$("full").hidden = !document.fullscreenEnabled;
$("info").onclick = () => {
  $("figures").hidden = !$("figures").hidden;
  $("info").setAttribute("aria-expanded", String(!$("figures").hidden));
};

$("talk").onclick = () => {
  const opens = $("chat").hidden;
  $("chat").hidden = !opens;
  document.body.classList.toggle("chatting", opens);
  $("talk").setAttribute("aria-expanded", String(opens));
  unread = 0;
  $("unread").textContent = "";
  if (opens) $("line").focus();
};
$("who").onkeydown = (event) => {
  if (event.key !== "Enter" || event.isComposing) return;
  event.preventDefault();
  $("line").focus();
};
function write(by, text) {
  const lines = $("lines");
  const stays = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 60;
  const item = document.createElement("li");
  const name = document.createElement("b");
  name.textContent = by;
  item.append(name, text);
  lines.append(item);
  while (lines.childElementCount > 300) lines.firstChild.remove();
  if (stays) lines.scrollTop = lines.scrollHeight;
  if ($("chat").hidden) {
    unread += 1;
    $("unread").textContent = unread;
  }
}
try { $("who").value = localStorage.getItem("name") ?? ""; } catch { /* This browser keeps nothing. */ }
$("say").onsubmit = (event) => {
  event.preventDefault();
  const [name, line] = [$("who").value.trim(), $("line").value.trim()];
  if (!line) return;
  try { localStorage.setItem("name", name); } catch { /* as above */ }
  link.tell({ say: line, name });
  $("line").value = "";
};

// What this browser's camera and microphone give goes to all, where the program takes it. What waits in the browser is late: the next
// is newer.
function send(message, isPicture) {
  if (!link.clock || link.waiting > (isPicture ? 65536 : 262144)) return;
  const view = new DataView(message);
  view.setFloat64(8, view.getFloat64(8, true) + link.clock.ahead, true);
  link.tell(message);
}
$("camera").onclick = async () => {
  note("");
  if (camera.on) {
    camera.stop();
    link.tell({ films: null });
  } else {
    $("camera").disabled = true;
    sound.session(true);
    try {
      await camera.start($("who").value.trim() || "phone", note);
      link.tell({ films: camera.name });
    } catch (error) {
      const denied = error.name === "NotAllowedError";
      note(denied ? "This browser may not use the camera: allow it in its settings for this page." : `No camera: ${error.message}`);
    }
    $("camera").disabled = false;
  }
  filming();
};
function filming() {
  sound.session(camera.on);
  press("camera", camera.on);
  $("turn").hidden = !camera.on;
}
// The program says what it calls our camera, or that it takes none; or the camera is gone.
function films({ films, why }) {
  if (films === null) {
    camera.stop();
    link.tell({ films: null });
    note(`Your camera is not sent: ${why}`);
  } else {
    camera.name = films;
  }
  filming();
}
$("turn").onclick = () => camera.turn().catch((error) => note(`No other camera: ${error.message}`));

addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const id = { f: "full", m: "sound", s: "snapshot", c: "talk", i: "info", v: "camera" }[event.key];
  if (id && !$(id).hidden) $(id).click();
  else if (event.key === "Escape" || event.key === "0") choose(null);
  else if (/^[1-9]$/.test(event.key)) choose([...tiles.keys()][event.key - 1] ?? large);
  else return;
  event.preventDefault();
});

// Buttons are there while somebody is.
let asleep;
const wake = () => {
  document.body.classList.add("awake");
  clearTimeout(asleep);
  asleep = setTimeout(() => document.body.classList.remove("awake"), 3000);
};
for (const kind of ["pointermove", "pointerdown", "keydown"]) addEventListener(kind, wake);
wake();

// Nobody sees a page in the background, and no screen goes dark in front of one.
const stayBright = () => document.hidden || navigator.wakeLock?.request("screen").catch(() => {});
document.addEventListener("visibilitychange", () => {
  link.tell({ hidden: document.hidden });
  for (const tile of tiles.values()) tile.drawn = performance.now();
  if (document.hidden && camera.on) note("Your camera rests while this page is in the background.");
  stayBright();
});
stayBright();

// The keyboard of a phone covers the page, which some browsers do not say.
visualViewport?.addEventListener("resize", () => {
  document.body.style.height = `${visualViewport.height}px`;
  scrollTo(0, 0);
});

setInterval(() => {
  for (const tile of tiles.values()) tile.age(performance.now());
  const { pictures, bytes, blocks, age } = figures;
  const lines = [`${pictures} pictures/s  ${(bytes * 8e-6).toFixed(1)} Mbit/s`];
  if (age !== undefined && pictures) lines.push(`picture ${age.toFixed(0)} ms`);
  if (sound.on && blocks) lines.push(`sound ${sound.latency().toFixed(0)} ms in this browser`);
  $("figures").textContent = lines.join("\n");
  Object.assign(figures, { pictures: 0, bytes: 0, blocks: 0 });
}, 1000);

addEventListener("hashchange", () => location.reload());
sound.mayPlay().then((may) => (may ? listen(true) : ($("tap").hidden = false)));
const token = location.hash.slice(1);
if (token) link.connect(token);
else ask("");
