// Everything here makes a page nicer; every page works without it.
const root = document.documentElement;
const { lang } = root;
const all = (selector, scope = document) => scope.querySelectorAll(selector);
root.classList.add("js");

// Times: the server writes RFC 3339 in UTC, the reader sees their own zone and language.
const moment = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });
const distance = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

function relative(date) {
  const seconds = (date - Date.now()) / 1000;
  if (Math.abs(seconds) > 7 * 86400) return moment.format(date);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS[3];
  return distance.format(Math.trunc(seconds / size), unit);
}

function writeTimes(scope = document) {
  for (const time of all("time[datetime]", scope)) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(+date)) continue;
    time.textContent = "relative" in time.dataset ? relative(date) : moment.format(date);
    time.title = date.toLocaleString(lang, { dateStyle: "full", timeStyle: "long" });
  }
}

function prepare(scope = document) {
  writeTimes(scope);
  all("form[data-confirm]", scope).forEach(checkConfirm);
  all("input[data-show]", scope).forEach(addShowButton);
  all("input[type=radio]:checked", scope).forEach(showSummary);
  all("[data-slider]", scope).forEach(addSlider);
  all("form[data-calls]", scope).forEach(writeCall);
}

function checkConfirm(form) {
  // The server compares in the same form: keyboards spell one name in several ways.
  const plain = (text) => text.normalize("NFKC").replace(/\s+/g, " ").trim();
  form.querySelector("[type=submit]").disabled = plain(form.elements.confirm.value) !== plain(form.dataset.confirm);
}

function addShowButton(input) {
  const box = document.createElement("div");
  const button = document.createElement("button");
  box.className = "with-unit";
  button.type = "button";
  button.textContent = input.dataset.show;
  button.onclick = () => {
    const show = input.type === "password";
    input.type = show ? "text" : "password";
    button.textContent = input.dataset[show ? "hide" : "show"];
  };
  input.replaceWith(box);
  box.append(input, button);
}

// A chosen card carries its summary in a <template data-summary>.
function showSummary(input) {
  const place = document.querySelector(`[data-summary-of="${CSS.escape(input.name)}"]`);
  const summary = input.closest("label")?.querySelector("template[data-summary]");
  if (place && summary) place.replaceChildren(summary.content.cloneNode(true));
}

// A slider over the cards of a choice, in their order. Where the cards have one that cannot be chosen, it is where one stands.
function addSlider(box) {
  const range = box.querySelector("input");
  const cards = [...document.getElementsByName(box.dataset.slider)];
  const tell = () => {
    const card = cards[range.value];
    const title = card.closest("label").querySelector(".choice-title");
    box.querySelector("output").value = range.ariaValueText = [...title.childNodes].map(({ textContent }) => textContent.trim()).join(" · ");
    showSummary(card);
  };
  range.max = cards.length - 1;
  range.value = Math.max(0, cards.findIndex(({ checked }) => checked), cards.findIndex(({ disabled }) => disabled));
  range.addEventListener("input", () => {
    for (const [place, card] of cards.entries()) card.checked = place === range.valueAsNumber && !card.disabled;
    tell();
  });
  for (const [place, card] of cards.entries())
    card.addEventListener("change", () => {
      range.value = place;
      tell();
    });
  box.hidden = cards.length < 2;
  tell();
}

// What a form would do, as an API call that can be pasted into a shell.
function writeCall(form) {
  const sent = new FormData(form);
  const body = { name: sent.get("name"), plan: sent.get("plan"), image: sent.get("image"), ssh_keys: sent.getAll("ssh_keys") };
  for (const name of ["hostname", "user_data"]) if (sent.get(name)) body[name] = sent.get(name);
  const code = form.querySelector("[data-call]");
  code.textContent = `${code.dataset.call}'${JSON.stringify(body).replaceAll("'", "'\\''")}'`;
  code.closest("details").querySelector("[data-copy]").dataset.copy = code.textContent;
}

async function copy(button) {
  if (button.classList.contains("is-done")) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
  } catch {
    return; // Refused, or no TLS.
  }
  const before = [...button.childNodes];
  button.ariaLive = "polite";
  button.classList.add("is-done");
  button.replaceChildren(button.dataset.done);
  setTimeout(() => {
    button.classList.remove("is-done");
    button.replaceChildren(...before);
  }, 1600);
}

const openMenus = () => all("details:is(.menu, .more)[open]");
addEventListener("input", ({ target }) => {
  if (target.matches("form[data-confirm] input")) checkConfirm(target.form);
  if (target.form?.matches("[data-calls]")) writeCall(target.form);
});
addEventListener("change", ({ target }) => {
  if (target.type === "radio") showSummary(target);
  if (target.matches("[data-submit]")) target.form.requestSubmit();
});
addEventListener("click", ({ target }) => {
  const button = target.closest("[data-copy]");
  if (button) copy(button);
  for (const menu of openMenus()) if (!menu.contains(target)) menu.open = false;
});
addEventListener("keydown", ({ key }) => {
  if (key !== "Escape") return;
  for (const menu of openMenus()) {
    menu.open = false;
    menu.firstElementChild.focus();
  }
});

// One submit at a time, and the button says so. It is not disabled: a disabled button's value is not sent.
addEventListener("submit", (event) => {
  const form = event.target;
  if ("busy" in form.dataset) return event.preventDefault();
  form.dataset.busy = "";
  event.submitter?.classList.add("is-busy");
});
// A file that takes long shows how much of it has been sent; the page that answers takes the place of this one.
addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || !form.dataset.upload) return;
  event.preventDefault();
  const request = new XMLHttpRequest();
  const bar = document.createElement("progress");
  bar.max = 1;
  bar.ariaLabel = form.dataset.upload;
  form.append(bar);
  request.upload.onprogress = ({ loaded, total }) => (bar.value = loaded / total);
  request.onload = () => {
    history.replaceState(null, "", request.responseURL);
    document.body.replaceWith(new DOMParser().parseFromString(request.responseText, "text/html").body);
    scrollTo(0, 0);
    prepare();
  };
  // As if there were no script: the browser says what is wrong.
  request.onerror = () => HTMLFormElement.prototype.submit.call(form);
  request.open("POST", form.action);
  request.send(new FormData(form));
});
// Back from the next page, the browser shows this one as it was left.
addEventListener("pageshow", () => {
  all("[data-busy]").forEach((form) => delete form.dataset.busy);
  all("form .is-busy").forEach((button) => button.classList.remove("is-busy"));
});

// A part that the server takes its time for comes when the page is there; without a script a link stands in its place.
async function load(part) {
  try {
    const answer = await fetch(part.dataset.load);
    if (answer.status === 204) return part.remove();
    if (!answer.ok || answer.redirected) return;
    part.replaceChildren(...new DOMParser().parseFromString(await answer.text(), "text/html").body.childNodes);
  } catch {
    // Offline: the link stays.
  }
}
all("[data-load]").forEach(load);

// Live pages: an event says that something changed; the server says what it looks like now.
const live = document.querySelector("[data-live]")?.dataset;
let source, fetching, again;

async function refresh() {
  if (fetching) return void (again = true);
  fetching = true;
  try {
    const answer = await fetch(live?.fragment || location.href);
    if (answer.redirected && !live?.fragment) return location.assign(answer.url); // Signed out.
    if (answer.ok) swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // Offline: the next event asks again.
  } finally {
    fetching = false;
    if (again) setTimeout(refresh, 250);
    again = false;
  }
}

function swap(fresh) {
  for (const old of all("[data-swap][id]")) {
    const next = fresh.getElementById(old.id);
    // What the reader uses now stays: an open menu, a form on its way, a field with the cursor.
    if (!next || old.querySelector("details[open], [data-busy], input:focus, textarea:focus, select:focus")) continue;
    writeTimes(next);
    if (old.isEqualNode(next)) continue;
    const place = [...all("a, button, summary", old)].indexOf(document.activeElement);
    for (const input of all("input[id], textarea[id]", old)) {
      const twin = next.querySelector(`#${CSS.escape(input.id)}`);
      if (twin && input.value !== input.defaultValue) twin.value = input.value;
    }
    old.replaceWith(next);
    prepare(next);
    all("a, button, summary", next)[place]?.focus({ preventScroll: true });
  }
}

// Without events: looks again every two seconds for as long as something is under way.
setInterval(() => {
  if (!document.hidden && document.querySelector("[data-poll]")) refresh();
}, 2000);

function listen() {
  source = new EventSource(live.live);
  // What happened between the page's making and the stream's beginning, or while it was broken, was told to nobody.
  source.onopen = refresh;
  source.onmessage = refresh;
  source.addEventListener("change", refresh);
}
if (live) {
  listen();
  // A hidden page holds no connection; seen again, it catches up first.
  document.addEventListener("visibilitychange", () => {
    source.close();
    if (!document.hidden) listen();
  });
}

// The palette: the search page's list over any page. Without a script its link leads to that page.
const opener = document.querySelector("[data-palette]");
let palette;

function makePalette() {
  palette = document.createElement("dialog");
  palette.className = "palette";
  palette.ariaLabel = opener.ariaLabel;
  const input = document.createElement("input");
  input.type = "search";
  input.className = "input";
  input.maxLength = 100;
  input.ariaLabel = opener.ariaLabel;
  const list = document.createElement("div");
  palette.append(input, list);
  document.body.append(palette);
  let asked = new AbortController();
  const look = async () => {
    asked.abort(); // Answers may overtake each other, and only the newest is wanted.
    const { signal } = (asked = new AbortController());
    // One letter is in nearly every name.
    const q = input.value.trim().length > 1 ? input.value : "";
    try {
      const answer = await fetch(`${opener.pathname}?${new URLSearchParams({ list: true, q })}`, { signal });
      if (answer.redirected) return location.assign(opener.href); // Signed out.
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (answer.ok) list.replaceChildren(...fresh.body.childNodes);
    } catch {
      // Offline, or no longer asked: the next letter asks again.
    }
  };
  let pause;
  input.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(look, 120);
  });
  palette.addEventListener("keydown", (event) => {
    const links = [...all("a", list)];
    const place = links.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && links.length) {
      event.preventDefault();
      (place + step < 0 ? input : links[Math.min(place + step, links.length - 1)]).focus();
    } else if (event.key === "Enter" && place < 0 && links.length) {
      event.preventDefault();
      links[0].click();
    }
  });
  // A click beside it closes it.
  palette.addEventListener("click", ({ target }) => target === palette && palette.close());
  palette.addEventListener("beforeshow", () => {
    input.value = "";
    look();
  });
}

function openPalette(event) {
  event.preventDefault();
  if (!palette) makePalette();
  if (palette.open) return;
  palette.dispatchEvent(new Event("beforeshow"));
  palette.showModal();
}
if (opener) {
  opener.addEventListener("click", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) openPalette(event);
  });
  addEventListener("keydown", (event) => {
    if (event.key?.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey) openPalette(event);
  });
}

// Another script has put something new into the page.
addEventListener("fresh", ({ target }) => prepare(target));

prepare();
setInterval(() => writeTimes(), 30_000);
