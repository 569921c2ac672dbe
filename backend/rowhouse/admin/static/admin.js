// What the pages do beyond HTML: the reader's time zone, the look-up of foreign keys, and the choice of all rows.
// Everything works without it too: times are in UTC then, and a foreign key is typed.
"use strict";

(() => {
  const base = document.body.dataset.base;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  document.cookie = `rowhouse_admin_zone=${zone}; Path=${base}; Max-Age=31536000; SameSite=Lax${secure}`;

  const faults = document.getElementById("faults");
  if (faults) faults.focus();

  for (const all of document.querySelectorAll("[data-all]")) {
    all.addEventListener("change", () => {
      for (const one of all.form.elements[all.dataset.all] ? all.form.querySelectorAll(`[name="${all.dataset.all}"]`) : []) {
        one.checked = all.checked;
      }
    });
  }

  // A combobox with a list, by the pattern of the WAI-ARIA Authoring Practices.
  for (const input of document.querySelectorAll("[data-lookup]")) combobox(input);

  function combobox(input) {
    const box = document.createElement("div");
    box.className = "combobox";
    input.replaceWith(box);
    const list = document.createElement("ul");
    list.id = `${input.id}.list`;
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Found rows");
    list.hidden = true;
    const chosen = document.createElement("div");
    chosen.setAttribute("role", "status");
    box.append(input, list, chosen);
    const states = { role: "combobox", "aria-autocomplete": "list", "aria-controls": list.id, "aria-expanded": "false" };
    for (const [name, value] of Object.entries(states)) input.setAttribute(name, value);

    let timer, asked = 0, active = -1;

    function close() {
      list.hidden = true;
      active = -1;
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    }

    function mark(position) {
      const options = [...list.children];
      active = (position + options.length) % options.length;
      options.forEach((option, number) => option.setAttribute("aria-selected", String(number === active)));
      options[active].scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", options[active].id);
    }

    function forget() {
      const hint = document.getElementById(`${input.id}.hint`);
      if (hint) hint.textContent = "";
      chosen.textContent = "";
    }

    function choose(option) {
      forget();
      input.value = option.dataset.value;
      chosen.textContent = option.dataset.label;
      close();
    }

    async function search() {
      const mine = ++asked;
      const answer = await fetch(`${input.dataset.lookup}&q=${encodeURIComponent(input.value)}`);
      if (mine !== asked || !answer.ok || answer.redirected) return;
      const found = await answer.json();
      if (mine !== asked) return;
      list.replaceChildren(...found.map((one, number) => {
        const option = document.createElement("li");
        option.id = `${list.id}.${number}`;
        option.setAttribute("role", "option");
        option.setAttribute("aria-selected", "false");
        option.dataset.value = one.value;
        option.dataset.label = one.label;
        option.textContent = one.label.includes(one.value) ? one.label : `${one.label} (${one.value})`;
        option.addEventListener("mousedown", (event) => { event.preventDefault(); choose(option); });
        return option;
      }));
      active = -1;
      chosen.textContent = found.length ? "" : "Nothing found.";
      list.hidden = !found.length;
      input.setAttribute("aria-expanded", String(!list.hidden));
    }

    input.addEventListener("input", () => { forget(); clearTimeout(timer); timer = setTimeout(search, 120); });
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" && list.hidden) { event.preventDefault(); search(); return; }
      if (list.hidden) return;
      if (event.key === "ArrowDown") mark(active + 1);
      else if (event.key === "ArrowUp") mark(active < 0 ? -1 : active - 1);
      else if (event.key === "Enter" && active >= 0) choose(list.children[active]);
      else if (event.key === "Escape") close();
      else return;
      event.preventDefault();
    });
  }
})();
