// WCAG 2.1 AA, by computation: text reaches 4.5 : 1 on every background it stands on, marks and edges of controls 3 : 1.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { heatColours, luminance } from "../src/view/correlations";

const css = readFileSync(new URL("../src/style.css", import.meta.url), "utf8");

function colours(selector: string): Record<string, number[]> {
  const block = css.slice(css.indexOf(selector)).split("}")[0]!;
  const found: Record<string, number[]> = {};
  for (const [, name, hex] of block.matchAll(/--([\w-]+): #([0-9a-f]{6});/g)) {
    found[name!] = [0, 2, 4].map((at) => parseInt(hex!.slice(at, at + 2), 16));
  }
  return found;
}

function contrast(a: number[], b: number[]): number {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light! + 0.05) / (dark! + 0.05);
}

describe.each([["light", ":root {"], ["dark", ':root[data-theme="dark"] {']])("%s theme", (_name, selector) => {
  const theme = colours(selector);
  const text = ["ink", "ink-2", "up", "down", "line", "revised", "good", "warn", "bad", "sell", "buy"];
  it.each(text)("%s is readable on every background", (name) => {
    for (const background of ["page", "card", "chosen"]) {
      expect(contrast(theme[name]!, theme[background]!), `${name} on ${background}`).toBeGreaterThanOrEqual(4.5);
    }
  });
  it.each(["focus", "control"])("%s is visible", (name) => {
    for (const background of ["page", "card"]) expect(contrast(theme[name]!, theme[background]!), background).toBeGreaterThanOrEqual(3);
  });
});

it("numbers in the heat map are readable on every shade", () => {
  for (let r = -1; r <= 1; r += 0.01) {
    const { background, ink } = heatColours(r);
    expect(contrast(background, ink), `r = ${r}`).toBeGreaterThanOrEqual(4.5);
  }
});
