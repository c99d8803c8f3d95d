// Brings the console of an instance to life: asks for a ticket, opens the WebSocket, and hands it to noVNC (the screen)
// or xterm.js (the serial port). Whatever a guest writes is drawn by these two as characters or pixels; it never becomes
// markup, a title, a link or anything on the clipboard.
import { keysOf } from "./keyboard.js";

const box = document.getElementById("console");
const { nonce } = document.querySelector("script[nonce]");
const one = (selector) => box.querySelector(selector);
const all = (selector) => [...box.querySelectorAll(selector)];
const word = (name, value) => (one(`template[data-word="${name}"]`)?.content.textContent ?? name).replace("%s", value);

/** After these the person decides what happens next. */
const FINAL = new Set(["left", "taken-over", "stopped", "rebuilt", "rights-lost", "suspended", "idle", "too-long"]);
/** Seconds between attempts; after the last it is given up. */
const PAUSES = [1, 2, 4, 8, 15, 30, 30];
/** A connection that held for so long was a good one: the next attempt is the first again. */
const GOOD_MS = 10_000;
/** Guests read slower than people paste. */
const KEY_PAUSE_MS = 12;
const PIECE_CHARACTERS = 1024;
const SCROLLBACK_LINES = 5000;

const stage = one("#console-stage");
const status = one("[role=status]");
const frame = one(".console-frame");

let kind = localStorage.getItem("jst-console-kind") === "serial" ? "serial" : "vnc";
/** What is drawn at the moment, and how keys and text reach it. */
let view;
let socket;
/** Grows with each attempt and each change of mind: what an older one still awaits is of no interest. */
let turn = 0;
let failures = 0;

function say(text, look = "") {
  status.textContent = text;
  status.dataset.look = look;
}

function show(state) {
  const idle = state === "idle";
  one("[data-do=connect]").hidden = !idle;
  one("[data-do=disconnect]").hidden = idle;
  one(".console-tools").hidden = state !== "connected";
  frame.dataset.state = state;
}

function choose(chosen) {
  kind = chosen;
  localStorage.setItem("jst-console-kind", kind);
  for (const button of all("[data-kind]")) button.ariaPressed = String(button.dataset.kind === kind);
  for (const part of all("[data-for]")) part.hidden = part.dataset.for !== kind;
}

// xterm.js writes its rules into <style> elements. The policy of the page lets these pass with its nonce and no others.
const createElement = document.createElement.bind(document);
document.createElement = (name, options) => {
  const element = createElement(name, options);
  if (String(name).toLowerCase() === "style") element.nonce = nonce;
  return element;
};

async function openSerial(channel) {
  const [{ Terminal }, { FitAddon }] = await Promise.all([import(box.dataset.xterm), import(box.dataset.fit)]);
  const terminal = new Terminal({
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    fontFamily: getComputedStyle(box).getPropertyValue("--mono"),
    fontSize: 14,
    // With less, the next line covers underscores.
    lineHeight: 1.15,
    scrollback: SCROLLBACK_LINES,
    screenReaderMode: true,
    theme: { background: "#14161c", foreground: "#e8e6e0" },
    // A guest's links lead nowhere: their text may say anything.
    linkHandler: { activate() {} },
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(stage);
  fit.fit();
  const resized = new ResizeObserver(() => fit.fit());
  resized.observe(stage);
  const send = (bytes) => channel.readyState === WebSocket.OPEN && channel.send(bytes);
  const encoder = new TextEncoder();
  const typed = (text) => send(encoder.encode(text));
  terminal.onData(typed);
  terminal.onBinary((text) => send(Uint8Array.from(text, (character) => character.charCodeAt(0))));
  return {
    begin() {
      channel.onmessage = ({ data }) => terminal.write(new Uint8Array(data));
      terminal.focus();
    },
    press: (keys) => typed(sequence(keys)),
    async type(text, goesOn) {
      const whole = text.replace(/\r?\n/g, "\r");
      for (let at = 0; at < whole.length && goesOn(); at += PIECE_CHARACTERS) {
        typed(whole.slice(at, at + PIECE_CHARACTERS));
        await pause(KEY_PAUSE_MS);
      }
      return "";
    },
    text() {
      if (terminal.hasSelection()) return terminal.getSelection();
      const { active } = terminal.buffer;
      const lines = Array.from({ length: active.length }, (_, at) => active.getLine(at)?.translateToString(true) ?? "");
      return `${lines.join("\n").trimEnd()}\n`;
    },
    focus: () => terminal.focus(),
    close() {
      resized.disconnect();
      terminal.dispose();
    },
  };
}

/** What a terminal sends for a key. */
function sequence(keys) {
  const [last] = keys.slice(-1);
  if (keys[0] === "ControlLeft") return String.fromCharCode(last.charCodeAt(3) - 64);
  const number = Number(last.slice(1));
  if (last === "Escape") return "\x1b";
  if (last === "Tab") return "\t";
  if (number <= 4) return `\x1bO${"PQRS"[number - 1]}`;
  return `\x1b[${[15, 17, 18, 19, 20, 21, 23, 24][number - 5]}~`;
}

const KEYSYMS = { ControlLeft: 0xffe3, AltLeft: 0xffe9, AltRight: 0xfe03, ShiftLeft: 0xffe1, Delete: 0xffff, Escape: 0xff1b, Tab: 0xff09, Enter: 0xff0d };
const keysym = (code) => KEYSYMS[code] ?? (/^F\d/.test(code) ? 0xffbd + Number(code.slice(1)) : code.toLowerCase().charCodeAt(3));

async function openScreen(channel) {
  const { default: RFB } = await import(box.dataset.novnc);
  let rfb;
  const press = (keys) => {
    for (const code of keys) rfb.sendKey(keysym(code), code, true);
    for (const code of keys.toReversed()) rfb.sendKey(keysym(code), code, false);
  };
  return {
    begin() {
      // From here on noVNC reads the socket; it has to begin before the guest's first byte comes.
      rfb = new RFB(stage, channel, { shared: true });
      rfb.scaleViewport = true;
      rfb.background = "#14161c";
      rfb.addEventListener("connect", () => rfb.focus());
    },
    press,
    async type(text, goesOn) {
      const layout = one("[name=layout]").value;
      const untyped = new Set();
      for (const character of text.replace(/\r\n?/g, "\n")) {
        if (!goesOn()) break;
        const keys = keysOf(character, layout);
        if (!keys) {
          untyped.add(character);
          continue;
        }
        // The symbol matters where the guest's screen takes no key codes.
        const [last] = keys.slice(-1);
        const held = keys.slice(0, -1);
        const symbol = KEYSYMS[last] ?? character.codePointAt(0);
        for (const code of held) rfb.sendKey(keysym(code), code, true);
        rfb.sendKey(symbol, last, true);
        rfb.sendKey(symbol, last, false);
        for (const code of held.toReversed()) rfb.sendKey(keysym(code), code, false);
        await pause(KEY_PAUSE_MS);
      }
      return [...untyped].join(" ");
    },
    text: () => "",
    focus: () => rfb?.focus(),
    close: () => rfb?.disconnect(),
  };
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function ticket() {
  const answer = await fetch(box.dataset.post, { method: "POST", body: new URLSearchParams({ kind }), headers: { accept: "application/json" } });
  // A session that has ended leads to the sign-in page.
  if (answer.redirected || !answer.headers.get("content-type")?.includes("json")) throw answer.status < 500 ? { final: word("ended-rights-lost") } : {};
  const body = await answer.json();
  if (answer.ok) return body;
  throw answer.status < 500 ? { final: body.detail } : {};
}

/** One attempt, from the ticket to the open guest; what follows is told by the socket's close. */
async function attempt() {
  turn += 1;
  const mine = turn;
  const current = () => mine === turn;
  show("busy");
  say(word("asking"), "working");
  let asked;
  try {
    asked = await ticket();
  } catch (problem) {
    if (current()) problem.final ? stop(problem.final) : again(word("unreachable"));
    return;
  }
  if (!current()) return;
  const channel = new WebSocket(new URL(asked.socket, location.href.replace(/^http/, "ws")));
  channel.binaryType = "arraybuffer";
  socket = channel;
  let connectedAt;
  channel.addEventListener("close", ({ code, reason }) => {
    if (!current()) return;
    if (connectedAt && performance.now() - connectedAt > GOOD_MS) failures = 0;
    leave();
    const why = code === 4000 ? word(`ended-${reason}`) : word("unreachable");
    if (code === 4000 && FINAL.has(reason)) stop(why);
    else again(why);
  });
  // The drawing part is there before the guest is, so that none of its first bytes is lost.
  const opening = kind === "serial" ? openSerial(channel) : openScreen(channel);
  const opened = await opening.catch((error) => console.error(error));
  if (!current() || !opened) {
    opened?.close();
    channel.close();
    return;
  }
  view = opened;
  channel.onmessage = ({ data }) => {
    const { state } = JSON.parse(data);
    if (state === "waiting") say(word("waiting"), "working");
    if (state !== "connected") return;
    connectedAt = performance.now();
    show("connected");
    say(word("connected"), "running");
    view.begin();
  };
  const shown = () => channel.send(asked.ticket);
  if (channel.readyState === WebSocket.OPEN) shown();
  else channel.addEventListener("open", shown, { once: true });
}

function leave() {
  view?.close();
  view = undefined;
  stage.replaceChildren();
}

function stop(why) {
  turn += 1;
  failures = 0;
  leave();
  show("idle");
  say(why, "stopped");
}

async function again(why) {
  turn += 1;
  const mine = turn;
  const seconds = PAUSES[failures];
  if (seconds === undefined) return stop(`${why} ${word("gave-up")}`);
  failures += 1;
  show("busy");
  for (let left = seconds; left > 0; left -= 1) {
    say(`${why} ${word("again", left)}`, "attention");
    await pause(1000);
    if (mine !== turn) return;
  }
  attempt();
}

function disconnect() {
  const leaving = socket;
  stop(word("ended-left"));
  leaving?.close();
}

let typing = 0;
async function type(text) {
  typing += 1;
  const mine = typing;
  const typed = view;
  if (!typed) return;
  say(word("typing"), "working");
  typed.focus();
  const untyped = await typed.type(text, () => mine === typing && view === typed);
  if (view !== typed || mine !== typing) return;
  say(untyped ? word("untyped", untyped) : word("typed"), untyped ? "attention" : "running");
}

const ACTIONS = {
  connect() {
    failures = 0;
    attempt();
  },
  disconnect,
  copy: () => navigator.clipboard?.writeText(view?.text() ?? ""),
  full: () => (document.fullscreenElement ? document.exitFullscreen() : frame.requestFullscreen()),
};

box.addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (button?.dataset.kind && button.dataset.kind !== kind) {
    const connected = turn && !one("[data-do=disconnect]").hidden;
    if (connected) disconnect();
    choose(button.dataset.kind);
    if (connected) ACTIONS.connect();
  } else if (button?.dataset.keys) {
    view?.press(button.dataset.keys.split(" "));
    view?.focus();
  } else if (ACTIONS[button?.dataset.do]) {
    ACTIONS[button.dataset.do]();
  }
});
one("form[data-do=type]").addEventListener("submit", (event) => {
  event.preventDefault();
  event.target.closest("details").open = false;
  type(event.target.elements.text.value);
});
document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && status.textContent === word("typing")) {
    typing += 1;
    say(word("connected"), "running");
  }
}, true);
document.addEventListener("fullscreenchange", () => {
  one("[data-do=full]").ariaPressed = String(Boolean(document.fullscreenElement));
});
// A page that is left takes its console along, without a word about it.
addEventListener("pagehide", () => socket?.close());

choose(kind);
show("idle");
