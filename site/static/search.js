// Searches the pages: the index loads when someone first uses the field. Without this file the field
// stays hidden, and everything else works.
"use strict";

(() => {
  const form = document.getElementById("search");
  const [field, list] = [form.querySelector("input"), form.querySelector("ol")];
  const root = new URL(".", new URL(form.dataset.index, location));
  const longest = 10;
  let pages;

  const load = () => {
    pages ??= fetch(new URL("search.json", root)).then((answer) => {
      if (!answer.ok) throw new Error(answer.statusText);
      return answer.json();
    }).catch((fault) => {
      pages = undefined; // the next key tries again
      throw fault;
    });
    return pages;
  };

  // score rates how well a page fits all words of a query: 0 if a word is missing.
  const score = (page, words) => {
    let sum = 0;
    for (const word of words) {
      const [title, sections] = [page.t.toLowerCase(), page.s.map((s) => s.t.toLowerCase())];
      const uses = page.w.toLowerCase().split(word).length - 1;
      if (uses === 0 && !title.includes(word)) return 0;
      sum += Math.min(uses, 10) + (title.split(/[^a-z0-9-]+/).includes(word) ? 80 : title.includes(word) ? 50 : 0) + (sections.some((s) => s.includes(word)) ? 20 : 0);
    }
    return sum;
  };

  // excerpt returns the text around the first use of a word.
  const excerpt = (page, word) => {
    const at = Math.max(0, page.w.toLowerCase().indexOf(word) - 40);
    return (at > 0 ? "…" : "") + page.w.slice(at, at + 120) + "…";
  };

  const entry = (page, words) => {
    const section = page.s.find((s) => words.some((word) => s.t.toLowerCase().includes(word)));
    const [item, link, hint] = ["li", "a", "small"].map((name) => document.createElement(name));
    link.href = new URL(page.u, root) + (section ? "#" + section.a : "");
    link.textContent = page.t + (section ? " › " + section.t : "");
    hint.textContent = (page.k ? page.k + ": " : "") + excerpt(page, words[0]);
    link.append(hint);
    item.append(link);
    return item;
  };

  const note = (text) => {
    const item = document.createElement("li");
    item.className = "note";
    item.textContent = text;
    return item;
  };

  const show = async () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let all;
    try {
      all = await load();
    } catch {
      list.replaceChildren(note("The search index did not load. Check the connection, and type again."));
      return;
    }
    if (field.value.toLowerCase().split(/\s+/).filter(Boolean).join() !== words.join()) return; // a later key is faster
    const found = all.map((page) => [words.length ? score(page, words) : 0, page]).filter(([points]) => points > 0);
    found.sort(([a], [b]) => b - a);
    const entries = found.slice(0, longest).map(([, page]) => entry(page, words));
    list.replaceChildren(...(words.length && !entries.length ? [note(`No page has all of: ${words.join(" ")}`)] : entries));
  };

  form.hidden = false;
  field.addEventListener("focus", load);
  field.addEventListener("input", show);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    list.querySelector("a")?.click();
  });
  document.addEventListener("click", (event) => {
    if (!form.contains(event.target)) list.replaceChildren();
  });
  form.addEventListener("keydown", (event) => {
    const links = [...list.querySelectorAll("a")];
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (!step || !links.length) return;
    event.preventDefault();
    const at = links.indexOf(document.activeElement) + step;
    (at < 0 ? field : links[Math.min(at, links.length - 1)]).focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") list.replaceChildren();
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      field.focus();
    }
  });
})();
