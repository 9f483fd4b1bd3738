// The top line: connection, the moment the page shows and its age, the theme.

import type { Phase } from "../connection";
import * as format from "../format";
import { byId, make, setText } from "./dom";

export class Header {
  private readonly pill = byId("connection");
  private readonly moment = byId("moment");
  private phase: Phase = { name: "connecting" };

  constructor(themeChanged: () => void) {
    theme(byId<HTMLButtonElement>("theme"), themeChanged);
  }

  connection(phase: Phase): void {
    if (phase.name === this.phase.name && phase.name !== "waiting") return;
    this.phase = phase;
    this.pill.dataset["phase"] = phase.name;
    // The countdown is for the eye only: a screen reader hears once that the connection is gone.
    const countdown = make("span", "countdown");
    countdown.setAttribute("aria-hidden", "true");
    this.pill.replaceChildren({ connecting: "connecting", live: "live", waiting: "reconnecting" }[phase.name], countdown);
    this.tick();
  }

  /** Once in a while: counts down to the next attempt. */
  tick(): void {
    const { phase } = this;
    const countdown = this.pill.querySelector(".countdown");
    if (!countdown) return;
    setText(countdown, phase.name === "waiting" ? ` in ${Math.max(0, Math.ceil((phase.at - Date.now()) / 1000))} s` : "");
  }

  /** T, and how old it is; in a replay of the past T has nothing to do with our clock. */
  time(t: number, age: number | null, timezone: string): void {
    if (t === 0) {
      setText(this.moment, "");
      return;
    }
    const zone = timezone.split("/").at(-1)?.replaceAll("_", " ") ?? timezone;
    const shown = age === null ? `${format.clock(t, timezone, true)} (replay)` : format.clock(t, timezone, true, t);
    setText(this.moment, `${shown} ${zone}${age === null ? "" : ` · ${format.span(age)} ago`}`);
  }
}

function theme(button: HTMLButtonElement, changed: () => void): void {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const apply = () => {
    const chosen = read();
    root.dataset["theme"] = chosen ?? (dark.matches ? "dark" : "light");
    setText(button, root.dataset["theme"] === "dark" ? "Light" : "Dark");
    button.setAttribute("aria-label", `Switch to the ${root.dataset["theme"] === "dark" ? "light" : "dark"} theme`);
    changed();
  };
  dark.addEventListener("change", apply);
  button.addEventListener("click", () => {
    write(root.dataset["theme"] === "dark" ? "light" : "dark");
    apply();
  });
  apply();
}

// Storage may be forbidden (private windows, embedding): then the theme lasts as long as the page.
let remembered: string | null = null;
function read(): string | null {
  try {
    return localStorage.getItem("theme") ?? remembered;
  } catch {
    return remembered;
  }
}
function write(theme: string): void {
  remembered = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // as said
  }
}
