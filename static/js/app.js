// Everything here makes a page nicer; every page works without it.
const root = document.documentElement;
root.classList.add("js");
const lang = root.lang || "en";
const all = (selector, scope = document) => scope.querySelectorAll(selector);

// Times: the server writes RFC 3339 in UTC, the reader sees their own zone and language.
const moment = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });
const distance = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

function relative(date) {
  const seconds = (date - Date.now()) / 1000;
  // After a week the date itself says more than a number of days.
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

// What the markup asks for, again after every swap.
function prepare(scope = document) {
  writeTimes(scope);
  for (const form of all("form[data-confirm]", scope)) checkConfirm(form);
  for (const input of all("input[data-show]:not([data-ready])", scope)) addPasswordButton(input);
  for (const input of all("input[type=radio]:checked", scope)) showSummary(input);
}

function checkConfirm(form) {
  const button = form.querySelector("[type=submit]");
  if (button) button.disabled = form.elements.confirm?.value !== form.dataset.confirm;
}

function addPasswordButton(input) {
  const box = document.createElement("div");
  const button = document.createElement("button");
  input.dataset.ready = "";
  box.className = "with-unit";
  input.replaceWith(box);
  button.type = "button";
  button.textContent = input.dataset.show;
  button.addEventListener("click", () => {
    const hidden = input.type === "password";
    input.type = hidden ? "text" : "password";
    button.textContent = hidden ? input.dataset.hide : input.dataset.show;
  });
  box.append(input, button);
}

// A chosen card carries its summary in a <template data-summary>.
function showSummary(input) {
  const place = document.querySelector(`[data-summary-of="${CSS.escape(input.name)}"]`);
  const source = input.closest("label")?.querySelector("template[data-summary]");
  if (place && source) place.replaceChildren(source.content.cloneNode(true));
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-confirm]");
  if (form) checkConfirm(form);
});
document.addEventListener("change", (event) => {
  if (event.target.matches("input[type=radio]")) showSummary(event.target);
  if (event.target.matches("[data-submit]")) event.target.form?.requestSubmit();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      return; // No permission, or no TLS: the text is there to be marked by hand.
    }
    if (button.classList.contains("is-done")) return;
    const before = [...button.childNodes];
    button.classList.add("is-done");
    button.setAttribute("aria-live", "polite");
    button.replaceChildren(button.dataset.done);
    setTimeout(() => {
      button.classList.remove("is-done");
      button.replaceChildren(...before);
    }, 1600);
  }
  // A click elsewhere closes an open menu.
  for (const menu of all("details.menu[open], details.more[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open], details.more[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// One submit at a time, and the button says so. It is not disabled: a disabled button's value is not sent.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if ("busy" in form.dataset) return event.preventDefault();
  form.dataset.busy = "";
  event.submitter?.classList.add("is-busy");
});
// Back from the next page, the browser shows this one as it was left.
addEventListener("pageshow", () => {
  for (const form of all("form[data-busy]")) delete form.dataset.busy;
  for (const button of all("button.is-busy")) button.classList.remove("is-busy");
});

// Live pages: an event says only that something changed; the server renders what it looks like now.
const live = document.querySelector("[data-live]");
let source, fetching, again;

async function refresh() {
  if (fetching) return void (again = true);
  fetching = true;
  try {
    const answer = await fetch(live.dataset.fragment || location.href, { headers: { accept: "text/html" } });
    if (answer.redirected && new URL(answer.url).pathname !== location.pathname && !live.dataset.fragment) {
      return location.assign(answer.url); // Signed out.
    }
    if (answer.ok) swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // Offline: the next event asks again.
  } finally {
    fetching = false;
    if (again) {
      again = false;
      setTimeout(refresh, 250);
    }
  }
}

function swap(fresh) {
  for (const old of all("[data-swap][id]")) {
    const next = fresh.getElementById(old.id);
    if (!next || old.querySelector("details[open], [data-busy]")) continue;
    writeTimes(next);
    if (old.isEqualNode(next)) continue;
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    // A field in which someone types stays as it is until they leave it.
    if (focused?.matches("input, textarea, select")) continue;
    const place = focused && [...all("a, button, summary", old)].indexOf(focused);
    for (const input of all("input[id], textarea[id]", old)) {
      const twin = next.querySelector(`#${CSS.escape(input.id)}`);
      if (twin && input.value !== input.defaultValue) twin.value = input.value;
    }
    old.replaceWith(document.adoptNode(next));
    prepare(next);
    if (focused) all("a, button, summary", next)[place]?.focus({ preventScroll: true });
  }
}

function listen() {
  source = new EventSource(live.dataset.live);
  source.addEventListener("message", refresh);
  source.addEventListener("change", refresh);
}
if (live) {
  listen();
  // A hidden page holds no connection; when it is seen again, it catches up first.
  document.addEventListener("visibilitychange", () => {
    source.close();
    if (document.hidden) return;
    listen();
    refresh();
  });
}

prepare();
setInterval(() => writeTimes(), 30_000);
