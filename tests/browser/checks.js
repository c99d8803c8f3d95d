// What must hold on every page, whatever it shows.
import { AxeBuilder } from "@axe-core/playwright";

const STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/** As on a screen that is tall enough: else the bars that stick to its edges stand over what can be scrolled out from under them. */
export async function unrolled(page, tallest, run) {
  const size = page.viewportSize();
  const height = Math.min(tallest, await page.evaluate(() => document.documentElement.scrollHeight));
  if (height > size.height) await page.setViewportSize({ ...size, height });
  try {
    return await run();
  } finally {
    if (height > size.height) await page.setViewportSize(size);
  }
}

/** The problems that a machine can see in how accessible the page is; with `rules`, only those. */
export async function accessibility(page, rules) {
  const builder = new AxeBuilder({ page });
  const scope = rules ? builder.withRules(rules) : builder.withTags(STANDARD);
  // The old way runs within the page; the new one opens a second page for each run.
  const { violations } = await unrolled(page, Infinity, () => scope.setLegacyMode().analyze());
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, any, all, none }) => `${id}: ${target.join(" ")}: ${[...any, ...all, ...none].map(({ message }) => message).join("; ")}`),
  );
}

/** What sticks out of the page to the right, or is cut off with no way to reach it. */
export const overflow = (page) =>
  page.evaluate(() => {
    const found = [];
    const { clientWidth, scrollWidth } = document.documentElement;
    if (scrollWidth > clientWidth) found.push(`the page is ${scrollWidth} px wide on ${clientWidth}`);
    const scrolls = (element) => {
      for (let box = element; box; box = box.parentElement) if (/auto|scroll/.test(getComputedStyle(box).overflowX)) return true;
    };
    const clipped = (element) => element && (getComputedStyle(element).clipPath !== "none" || clipped(element.parentElement));
    for (const element of document.querySelectorAll("main *, header *, nav *, footer *")) {
      if (!(element instanceof HTMLElement)) continue;
      const { right, left, width } = element.getBoundingClientRect();
      const outside = width && (right > clientWidth + 1 || left < -1);
      // A control whose words do not fit. Selects measure their longest option, and inputs scroll.
      const tight = /^(A|BUTTON|SUMMARY)$/.test(element.tagName) && element.scrollWidth > element.clientWidth + 1;
      // What costs time is asked only of the few that look wrong.
      if (!(outside || tight) || !element.checkVisibility({ visibilityProperty: true }) || element.closest(".sr, svg") || clipped(element)) continue;
      const name = `${element.tagName.toLowerCase()}.${element.className} “${element.textContent.trim().slice(0, 40)}”`;
      if (outside && !scrolls(element)) found.push(`${name} reaches from ${left} to ${right}`);
      if (tight && getComputedStyle(element).display !== "inline") found.push(`${name} is ${element.scrollWidth} px wide in ${element.clientWidth}`);
    }
    return found.slice(0, 5);
  });

/** Every text that a reader can meet: what stands there, and the names and hints of the controls. */
export const texts = (page) =>
  page.evaluate(() => {
    const found = new Set([document.title]);
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const { parentElement: parent, data } = walker.currentNode;
      // Code, times and what people typed or named are the same in every language.
      if (!parent.closest("script, style, template, code, pre, time, textarea, .mono, [translate=no], [lang]:not(html)")) found.add(data.trim());
    }
    for (const name of ["aria-label", "title", "placeholder", "alt", "data-done"])
      for (const element of document.querySelectorAll(`[${name}]`)) if (!element.closest("[translate=no], [lang]:not(html), time")) found.add(element.getAttribute(name).trim());
    return [...found];
  });

/** Texts that no translator has seen: a key with no message, or an English sentence on a Chinese page. */
export function untranslated(english, chinese) {
  const missing = [...english, ...chinese].filter((text) => /unknown localization|^[a-z]+(-[a-z]+){2,}$/i.test(text));
  const same = new Set(english);
  // Two English words in a row, which are on both pages, and no Chinese beside them.
  const left = chinese.filter((text) => same.has(text) && /\b[a-z]{2,} [a-z]{2,}\b/i.test(text) && !/\p{Script=Han}/u.test(text));
  return [...missing, ...left];
}
