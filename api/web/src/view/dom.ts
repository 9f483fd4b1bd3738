// The few things the views need from the DOM. Setting what is there already costs nothing and disturbs nobody.

export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found as E;
}

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setClass(element: Element, className: string): void {
  if (element.className !== className) element.className = className;
}

export function setAttribute(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Fills a select with options, keeping the choice. */
export function setOptions(select: HTMLSelectElement, options: readonly (readonly [string, string])[], chosen: string): void {
  const now = JSON.stringify(options);
  if (select.dataset["options"] !== now) {
    select.dataset["options"] = now;
    select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  }
  if (select.value !== chosen) select.value = chosen;
}

export const reducedMotion = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** A colour of the theme, as the style sheet has it now. */
export const themed = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
