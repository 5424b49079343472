"use strict";
// Filters, search, details and keys of the page. Texts go into the page as text, never as HTML.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const details = read("details"), runbooks = read("runbooks");
  const rows = [...document.querySelectorAll(".result")];
  const chips = [...document.querySelectorAll(".chip")], selects = [...document.querySelectorAll("select[data-filter]")];
  const search = document.getElementById("search"), shown = document.getElementById("shown"), reset = document.getElementById("reset");
  const needsAttention = ["failed", "errored", "warned"];
  let texts = null; // lower-case text of each row, made when somebody searches

  const add = (parent, tag, text, className) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    if (className) made.className = className;
    parent.append(made);
    return made;
  };

  const link = (parent, text) => {
    if (!/^https?:\/\//i.test(text)) return add(parent, "code", text);
    const made = add(parent, "a", text);
    made.href = text;
    made.rel = "noopener noreferrer";
    return made;
  };

  const fill = (row) => {
    if (row.querySelector(".body")) return;
    const told = details[Number(row.id.slice(1))], body = add(row, "div", "", "body");
    if (told.title) add(body, "p", told.title);
    if (told.reason) add(body, "pre", told.reason.join("\n"));
    if (told.judged) judged(body, told.judged, told.more);
    if (told.notes) {
      const list = add(body, "ul");
      for (const note of told.notes) add(list, "li", note);
    }
    if (told.asked) {
      const part = add(body, "details");
      add(part, "summary", `Requests and answers (${told.asked.length})`);
      for (const [line, excerpt, repeat] of told.asked) add(part, "pre", [line, excerpt, repeat].filter(Boolean).join("\n"));
    }
    if (told.fix) {
      const line = add(body, "p", "How to fix: ");
      link(line, told.fix);
      if (runbooks[told.fix]) {
        const more = add(body, "details");
        add(more, "summary", "Runbook: usual causes, how to look further, how to fix, how to prove it");
        runbook(more, runbooks[told.fix]);
      }
    }
    const drawn = document.getElementById(`t${row.id.slice(1)}`);
    if (drawn) {
      const plot = drawn.cloneNode(true);
      plot.removeAttribute("id");
      plot.firstElementChild.textContent = "Trend";
      body.append(plot);
    }
    const facts = [["trend", drawn ? "" : told.trend], ["owner", told.owner], ["evidence", told.evidence], ["test", told.test]].filter(([, value]) => value);
    if (facts.length) add(body, "p", facts.map(([name, value]) => `${name}: ${value}`).join(" · "), "facts");
  };

  // Headings, lists, commands and paragraphs of our own runbooks; what explains the check comes last.
  const runbook = (body, text) => {
    const [, ...parts] = text.split(/^## /m), last = ["What it checks", "Why it matters", "Evidence", "Sources"];
    const late = (part) => last.some((name) => part.startsWith(name));
    for (const part of [...parts.filter((each) => !late(each)), ...parts.filter(late)]) {
      const [title, ...lines] = part.split("\n");
      add(body, "h3", title);
      let list = null, block = null, open = false;
      for (const line of lines) {
        if (line.startsWith("```")) { open = !open; block = open ? add(body, "pre") : null; list = null; continue; }
        if (open) { block.textContent += `${line}\n`; continue; }
        const item = line.match(/^(?:[-*]|[0-9]+\.) (.*)/), plain = (item ? item[1] : line).replace(/`/g, "");
        const shown = plain.replace(/\[([^\]]*)\]\(([^)]*)\)/g, "$1: $2");
        if (item) { list ??= add(body, "ul"); add(list, "li", shown); } else if (line.trim()) { list = null; add(body, "p", shown); }
      }
    }
  };

  const judged = (body, found, more) => {
    const table = add(body, "table", "", "judged"), names = ["outcome", "what", "of", "measured", "limit", "to spare", "why"];
    const head = add(add(table, "thead"), "tr"), rowsOf = add(table, "tbody");
    for (const name of names) add(head, "th", name);
    for (const each of found) {
      const line = add(rowsOf, "tr");
      each.forEach((value, place) => { add(line, "td", value).dataset.label = names[place]; });
    }
    if (more) add(body, "p", `and ${more} more (all are in the JSON report)`);
  };

  const wanted = () => ({
    outcomes: chips.filter((each) => each.getAttribute("aria-pressed") === "true").map((each) => each.dataset.outcome),
    choices: selects.filter((each) => each.value).map((each) => [each.dataset.filter, each.value]),
    words: search.value.toLowerCase().split(/\s+/).filter(Boolean),
  });

  const textOf = (place) => {
    texts ??= rows.map((row, at) => {
      const told = details[at];
      return [row.firstElementChild.textContent, told.title, ...(told.reason ?? []), ...(told.notes ?? []), told.test].join(" ").toLowerCase();
    });
    return texts[place];
  };

  const apply = () => {
    const { outcomes, choices, words } = wanted();
    let number = 0;
    rows.forEach((row, place) => {
      const fits = (!outcomes.length || outcomes.includes(row.dataset.outcome))
        && choices.every(([name, value]) => row.dataset[name] === value)
        && words.every((word) => textOf(place).includes(word));
      if (row.hidden === fits) row.hidden = !fits;
      number += fits;
    });
    for (const group of document.querySelectorAll(".follows")) group.hidden = !group.querySelector(".result:not([hidden])");
    const all = !outcomes.length && !choices.length && !words.length;
    if (!all) for (const group of document.querySelectorAll(".follows")) group.open = true;
    shown.textContent = all ? `${rows.length} results` : `${number} of ${rows.length} results`;
    reset.hidden = all;
    return { outcomes, choices, words };
  };

  const remember = () => {
    const { outcomes, choices, words } = apply();
    const state = new URLSearchParams([...choices, ...(outcomes.length ? [["outcome", outcomes.join(",")]] : []),
      ...(words.length ? [["search", search.value]] : [])]);
    history.replaceState(null, "", state.size ? `#${state}` : location.pathname + location.search);
  };

  const recall = () => {
    const at = location.hash.slice(1);
    if (/^r\d+$/.test(at)) return open(document.getElementById(at));
    const state = new URLSearchParams(at), outcomes = (state.get("outcome") ?? "").split(",");
    for (const each of chips) each.setAttribute("aria-pressed", String(outcomes.includes(each.dataset.outcome)));
    for (const each of selects) each.value = state.get(each.dataset.filter) ?? "";
    search.value = state.get("search") ?? "";
    apply();
  };

  const open = (row) => {
    if (!row) return;
    row.hidden = false;
    const group = row.closest(".follows");
    if (group) { group.hidden = false; group.open = true; }
    fill(row);
    row.open = true;
    row.scrollIntoView({ block: "start" });
    row.firstElementChild.focus({ preventScroll: true });
  };

  const showAll = () => {
    for (const each of chips) each.setAttribute("aria-pressed", "false");
    for (const each of selects) each.value = "";
    search.value = "";
    remember();
  };

  const step = (by) => {
    const some = rows.filter((row) => !row.hidden && needsAttention.includes(row.dataset.outcome));
    const at = some.indexOf(document.activeElement.closest?.(".result"));
    const next = some[at < 0 ? (by > 0 ? 0 : some.length - 1) : at + by];
    if (next) { open(next); history.replaceState(null, "", `#${next.id}`); }
  };

  document.getElementById("list").addEventListener("toggle", (event) => { if (event.target.open && event.target.matches(".result")) fill(event.target); }, true);
  for (const each of chips) each.addEventListener("click", () => { each.setAttribute("aria-pressed", String(each.getAttribute("aria-pressed") !== "true")); remember(); });
  for (const each of selects) each.addEventListener("change", remember);
  search.addEventListener("input", remember);
  reset.addEventListener("click", showAll);
  addEventListener("hashchange", recall);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return showAll();
    if (/^(input|select|textarea)$/i.test(event.target.tagName)) return;
    if (event.key === "/") { event.preventDefault(); search.focus(); }
    if (event.key === "n") step(1);
    if (event.key === "p") step(-1);
  });
  addEventListener("beforeprint", () => { // what decided, what changed and what failed is on paper, too
    for (const each of document.querySelectorAll(".pc-gate details, #changes, .follows")) each.open = true;
    for (const row of rows) if (["failed", "errored"].includes(row.dataset.outcome)) { fill(row); row.open = true; }
  });
  recall();
})();
