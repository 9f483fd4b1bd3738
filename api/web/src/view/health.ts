// The foot of the page: is the machinery well, what became of the records, and which service says what.

import * as format from "../format";
import type { Health } from "../wire";
import { byId, make } from "./dom";

export class HealthView {
  private readonly box = byId("health");

  show(health: Health | null): void {
    if (!health) {
      this.box.replaceChildren(make("p", "health-line unhealthy", "The server does not answer /health."));
      return;
    }
    const open = this.box.querySelector("details")?.open ?? false;
    const line = make("summary", `health-line ${health.status}`);
    const enabled = health.services.filter((service) => service.state !== "disabled");
    const working = enabled.filter((service) => service.state !== "down");
    const { records } = health;
    const parts = [
      health.status,
      `${working.length} of ${enabled.length} services`,
      `${format.number(records.received)} records`,
      `${format.number(records.corrected)} corrections`,
      `${format.number(records.duplicates)} duplicates`,
      `${format.number(records.dead_letters)} dead letters`,
    ];
    if (records.lost > 0) parts.push(`${format.number(records.lost)} lost`);
    line.textContent = parts.join("  ·  ");

    const list = make("ul", "services");
    for (const service of health.services) {
      const item = make("li", `service is-${service.state}`);
      item.append(make("strong", "", service.name), ` ${service.state}`, make("span", "quiet", service.detail ? ` ${service.detail}` : ""));
      list.append(item);
    }
    const reasons = Object.entries(health.dead_letters).filter(([, count]) => count > 0);
    if (reasons.length > 0) {
      const text = reasons.map(([reason, count]) => `${format.words(reason)} ${format.number(count)}`).join(", ");
      const item = make("li", "service");
      item.append(make("strong", "", "dead letters"), ` ${text}`);
      list.append(item);
    }
    const links = make("p", "links");
    for (const [text, href] of [["API", "/api/docs"], ["Metrics", "/metrics"], ["Health", "/health"]] as const) {
      const link = make("a", "", text);
      link.href = href;
      links.append(link, " ");
    }
    links.append(make("span", "quiet", `OptiBid ${health.version}`));
    const details = make("details");
    details.open = open;
    details.append(line, list);
    const focused = this.box.contains(document.activeElement) && document.activeElement?.tagName === "SUMMARY";
    this.box.replaceChildren(details, links);
    if (focused) line.focus();
  }
}
