// The alerts with their life: raised, revised, and struck through when a correction of the past withdrew them.
//
// New alerts are read out to screen readers, gathered so that a burst is one sentence.

import * as format from "../format";
import type { Alert } from "../store";
import { isAlert, type WireAlert } from "../wire";
import { byId, make } from "./dom";

const SHOWN = 80;
const GATHER_MS = 3_000;
/** A shape for each severity: colour alone would not reach everybody. */
const MARKS = { info: "●", warning: "▲", critical: "◆" } as const;

export class Alerts {
  private readonly list = byId<HTMLOListElement>("alerts");
  private readonly announcer = byId("announce");
  private gathered: string[] = [];

  show(alerts: readonly Alert[], timezoneOf: (zone: string) => string, now: number): void {
    const items = alerts.slice(0, SHOWN).map((alert) => item(alert, timezoneOf(alert.zone), now));
    if (items.length === 0) items.push(make("li", "empty", "None."));
    this.list.replaceChildren(...items);
  }

  announce(alert: Alert): void {
    const { found } = alert;
    if (isAlert(found) && found.state !== "raised") return;
    if (this.gathered.length === 0) setTimeout(() => this.speak(), GATHER_MS);
    this.gathered.push(`${found.severity}, ${alert.zone}: ${title(alert)}`);
  }

  private speak(): void {
    const [first, ...others] = this.gathered;
    const more = others.length > 0 ? ` and ${others.length} more` : "";
    this.announcer.textContent = `New alert: ${first}${more}`;
    this.gathered = [];
  }
}

function title({ found }: Alert): string {
  return isAlert(found) ? format.words(found.alert_type) : `${format.words(found.alert_type)}: ${found.message}`;
}

function item(alert: Alert, timezone: string, now: number): HTMLLIElement {
  const { found } = alert;
  const state = isAlert(found) ? found.state : "notice";
  const element = make("li", `alert ${found.severity} ${state}`);
  const mark = make("span", "mark-severity", MARKS[found.severity] ?? MARKS.info);
  mark.setAttribute("aria-hidden", "true");

  const body = make(state === "withdrawn" ? "del" : "div", "alert-body");
  const head = make("div", "alert-head");
  head.append(make("strong", "", alert.zone === "*" ? "All zones" : alert.zone), " ", title(alert));
  body.append(head);
  if (isAlert(found)) body.append(make("div", "quiet", saw(found)));

  const foot = make("div", "alert-foot quiet");
  foot.append(
    make("span", "severity-word", found.severity),
    make("span", `state ${state}`, lifeOf(alert)),
    make("span", "", format.clock(alert.time, timezone, true, now)),
  );
  element.append(mark, body, foot);
  return element;
}

function lifeOf({ found }: Alert): string {
  if (!isAlert(found)) return found.class.replaceAll("_", " ");
  return found.state === "revised" && found.revision > 1 ? `revised ${found.revision} times` : found.state;
}

/** What the rule saw, in the unit of its kind. */
function saw(alert: WireAlert): string {
  const money = (value: number | null) => format.money(value, alert.currency);
  const place = alert.location === alert.zone ? "" : `${alert.location}: `;
  const { value, baseline, threshold } = alert;
  switch (alert.alert_type) {
    case "z_score":
    case "robust_z_score":
      return `${place}${money(value)} against ${money(baseline)}, z ${format.signed(alert.z_score)} (limit ${format.number(threshold, 1)})`;
    case "price_cap":
      return `${place}${money(value)}, the cap is ${money(baseline)}`;
    case "price_floor":
      return `${place}${money(value)}, the floor is ${money(baseline)}`;
    case "flat_line":
      return `${place}${money(value)} for ${format.number(threshold)} bars or more`;
    case "stale_feed":
      return `${place}no tick for ${format.span(value * 1000)} (limit ${format.span(threshold * 1000)})`;
    case "spread_break":
      return `${place}${money(value)} against ${money(baseline)} at the reference (limit ${money(threshold)})`;
    default:
      return alert.message;
  }
}
