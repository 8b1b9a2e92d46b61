"use strict";
// What Tabulator leaves to a page: its columns and filters here, the bars by class, and the window of a row.
// Texts come from outside, so they enter the document as text; pictures alone are markup, escaped where they were made.
(() => {
  const MOST = 6, FEW = 20, TABLES = document.currentScript.dataset.tables;

  // What a page shows at once stands in the page; all else lies beside it and is loaded when it is looked at. Scripts,
  // because a page that was opened from a folder may read nothing else.
  const loads = new Map(), answers = new Map();
  window.ltbenchLoaded = (name, document) => answers.set(name, document);

  function load(file) {
    if (!loads.has(file)) {
      loads.set(file, new Promise((resolve, reject) => {
        const script = make("script", "", { src: file });
        script.addEventListener("load", () => resolve(answers.get(file)));
        script.addEventListener("error", () => { loads.delete(file); script.remove(); reject(new Error(`${file} could not be loaded`)); });
        document.head.append(script);
      }));
    }
    return loads.get(file);
  }

  const complain = place => error => place.replaceChildren(make("p", error.message, { class: "warning" }));

  function make(tag, content = "", attributes = {}) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...(Array.isArray(content) ? content : [content]));
    return element;
  }

  function theme() {
    const button = document.getElementById("theme"), root = document.documentElement;
    const system = matchMedia("(prefers-color-scheme: dark)");
    const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const say = () => { button.textContent = dark() ? "Light" : "Dark"; };
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try { localStorage.setItem("ltbench-theme", root.dataset.theme); } catch { /* it holds until the page is left */ }
      say();
    });
    system.addEventListener("change", say);
    button.hidden = false;
    say();
  }

  // Numbers are [text, value]; empty cells stand last in either direction.
  function byNumber(a, b, rowA, rowB, column, direction) {
    const x = a ? a[1] : null, y = b ? b[1] : null, last = direction === "asc" ? 1 : -1;
    if (x === null || y === null) return x === y ? 0 : x === null ? last : -last;
    return x - y;
  }

  const collator = new Intl.Collator("en", { numeric: true });

  // "> 60", "<= 1e6", "60 .. 70", or words that the text has.
  function fits(wanted, cell) {
    const text = Array.isArray(cell) ? cell[0] : cell ?? "", value = Array.isArray(cell) ? cell[1] : null;
    const bound = /^\s*(<=|>=|<|>)\s*([-+.\deE]+)\s*$/.exec(wanted), range = /^\s*([-+.\deE]+)\s*\.\.\s*([-+.\deE]+)\s*$/.exec(wanted);
    // Half typed, it filters nothing yet.
    if (/^\s*([<>]=?|[-+.\deE]+\s*\.\.)\s*$/.test(wanted)) return true;
    if (range) return value !== null && value >= Number(range[1]) && value <= Number(range[2]);
    if (bound) {
      if (value === null) return false;
      const limit = Number(bound[2]);
      return { "<": value < limit, ">": value > limit, "<=": value <= limit, ">=": value >= limit }[bound[1]];
    }
    return text.toLowerCase().includes(wanted.toLowerCase().trim());
  }

  function width(title, texts) {
    const longest = Math.max(title.length + 3, ...texts.map(text => Math.min(text.length, 34)));
    return Math.round(longest * 7.7 + 24);
  }

  async function grid(root) {
    const [data] = await Promise.all([load(root.dataset.rows), load(TABLES)]);
    // A matrix has nothing behind its rows.
    const page = data.parts[0]?.file ? rowPage(data) : null;
    const narrow = matchMedia("(max-width: 40rem)").matches;
    const counts = data.parts.map(() => 0);
    const rows = data.rows.map(([part, rank, label, notes, ...cells], id) => {
      const row = { id, part, place: counts[part]++, label, notes, rank: rank === null ? null : [String(rank), rank] };
      cells.forEach((cell, number) => { row[`c${number}`] = cell; });
      row.words = [label, data.parts[part].name, ...cells.filter((_, number) => !data.columns[number].numeric)].join(" ").toLowerCase();
      return row;
    });

    const heading = (cell, { about }) => {
      const title = cell.getColumn().getDefinition().title;
      return make("button", title, { type: "button", class: "heading", title: about || `sort by ${title}` });
    };
    const shared = { titleFormatter: heading, headerFilter: "input", headerFilterFunc: fits, headerSortTristate: true };
    const columns = [{
      ...shared, title: "method", field: "label", frozen: true, headerFilterPlaceholder: "words",
      width: narrow ? 168 : Math.min(300, width("method", rows.map(row => row.label)) + (page ? 34 : 0)),
      sorter: (a, b) => collator.compare(a, b),
      formatter: cell => nameCell(cell.getData(), page, data.links ?? {}),
    }];
    if (rows.some(row => row.rank !== null)) {
      columns.push({
        ...shared, title: "#", titleFormatterParams: { about: "rank: 1 + the number of rows that are separably better" }, field: "rank", width: 58,
        hozAlign: "right", headerHozAlign: "right", sorter: byNumber, headerFilterPlaceholder: "<= 3",
        formatter: cell => cell.getValue() ? cell.getValue()[0] : make("span", "–", { title: "not ranked" }),
      });
    }
    data.columns.forEach((column, number) => {
      const field = `c${number}`, texts = rows.map(row => column.numeric ? (row[field]?.[0] ?? "") : row[field]);
      columns.push({
        ...shared, title: column.title, titleFormatterParams: { about: column.about }, field, visible: column.shown, width: width(column.title, texts),
        hozAlign: column.numeric ? "right" : "left", headerHozAlign: column.numeric ? "right" : "left",
        headerSortStartingDir: column.numeric ? "desc" : "asc", headerFilterPlaceholder: column.numeric ? "> 60" : "words",
        sorter: column.numeric ? byNumber : (a, b) => collator.compare(a, b),
        formatter: cell => {
          const text = column.numeric ? (cell.getValue()?.[0] ?? "–") : cell.getValue();
          return make("span", text || "–", { title: text, class: column.numeric && cell.getValue()?.[1] === null ? "why" : "" });
        },
      });
    });

    root.querySelector(".table").replaceChildren();
    const table = new Tabulator(root.querySelector(".table"), {
      data: rows, columns, layout: "fitData", rowHeight: 32,
      // Tabulator draws no more rows than are seen where the height is fixed; below a largest height it draws them all.
      ...(rows.length + data.parts.length > FEW ? { height: "70vh" } : { maxHeight: "70vh" }), placeholder: "no row fits",
      columnHeaderSortMulti: true,
      groupBy: data.parts.length > 1 ? "part" : false,
      groupHeader: (value, count) => make("span", [data.parts[value].name, make("span", ` ${count}`, { class: "muted" })]),
      rowFormatter: row => {
        row.getElement().classList.toggle("unranked", data.parts[row.getData().part].ranked === false);
      },
    });

    const search = root.querySelector(".search"), part = root.querySelector(".part"), ranked = root.querySelector(".ranked");
    const count = root.querySelector(".count"), filters = root.querySelector(".filters");
    const say = number => { count.textContent = number === rows.length ? `${rows.length} rows` : `${number} of ${rows.length} rows`; };
    const filter = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      table.setFilter(row =>
        (part.value === "" || row.part === Number(part.value)) &&
        (!ranked?.checked || row.rank !== null) &&
        words.every(word => row.words.includes(word)));
    };
    table.on("dataFiltered", (_, found) => say(found.length));
    table.on("tableBuilt", () => {
      say(rows.length);
      for (const control of [search, part, ranked]) control?.addEventListener("input", filter);
      filters.addEventListener("change", () => {
        root.classList.toggle("filtering", filters.checked);
        if (!filters.checked) table.clearHeaderFilter();
        table.redraw();
      });
      choices(root, table, columns);
      const follow = () => {
        const found = /^#part-(\d+)$/.exec(location.hash);
        if (found && Number(found[1]) < data.parts.length) { part.value = found[1]; filter(); }
      };
      addEventListener("hashchange", follow);
      follow();
      root.classList.add("ready");
      if (page) page.begin(rows);
    });
  }

  function nameCell(row, page, links) {
    if (!page) return Object.hasOwn(links, row.label) ? make("a", row.label, { href: links[row.label] }) : make("span", row.label, { title: row.label });
    const box = make("input", "", { type: "checkbox", "aria-label": `show ${row.label} by class` });
    box.checked = page.chosen.has(row.id);
    box.addEventListener("click", event => event.stopPropagation());
    box.addEventListener("change", () => page.choose(row.id, box));
    const name = make("button", row.label, { type: "button", class: "name", title: row.label });
    name.addEventListener("click", () => page.open(row.id));
    const mark = row.notes ? [make("span", "*", { class: "muted", title: "notes: open the row" })] : [];
    return make("span", [box, name, ...mark], { class: "row-name" });
  }

  function choices(root, table, columns) {
    const place = root.querySelector(".choices");
    for (const column of columns.slice(1)) {
      const box = make("input", "", { type: "checkbox" });
      box.checked = column.visible !== false;
      box.addEventListener("change", () => (box.checked ? table.showColumn(column.field) : table.hideColumn(column.field)));
      place.append(make("label", [box, ` ${column.title}`], column.titleFormatterParams.about ? { title: column.titleFormatterParams.about } : {}));
    }
  }

  // Runs, options and scores of classes lie in a file for each part of the table.
  function rowPage(data) {
    let rows;
    const chosen = new Set(), section = document.getElementById("by-class");
    const facts = row => load(data.parts[row.part].file).then(part => ({ ...part.rows[row.place], classes: part.classes[part.rows[row.place].classes] }));

    async function draw() {
      const place = section.querySelector(".bars"), wanted = [...chosen], sets = new Map();
      section.hidden = false;
      let found;
      try {
        found = await Promise.all(wanted.map(id => facts(rows[id])));
      } catch (error) {
        complain(place)(error);
        return;
      }
      // Another box may have been clicked meanwhile.
      if (wanted.join() !== [...chosen].join()) return;
      wanted.forEach((id, at) => {
        const { classes, ap } = found[at], key = JSON.stringify(classes);
        if (!sets.has(key)) sets.set(key, { classes, members: [] });
        sets.get(key).members.push([rows[id], ap]);
      });
      place.replaceChildren(...[...sets.values()].map(({ classes, members }) => bars(classes, members, data)));
    }

    return {
      chosen,
      begin(given) {
        rows = given;
        for (const row of rows.filter(row => row.part === 0).slice(0, 3)) chosen.add(row.id);
        for (const id of chosen) {
          const box = document.querySelectorAll(".row-name input")[id];
          if (box) box.checked = true;
        }
        requestIdleCallback(draw, { timeout: 2000 });
      },
      choose(id, box) {
        if (box.checked && chosen.size >= MOST) {
          box.checked = false;
          return;
        }
        if (box.checked) chosen.add(id);
        else chosen.delete(id);
        draw();
      },
      async open(id) {
        try {
          show(rows[id], await facts(rows[id]), data);
        } catch (error) {
          tell(rows[id].label, [make("p", error.message, { class: "warning" })]);
        }
      },
    };
  }

  // Pictures of a section, once it is open.
  function pictures(details) {
    const place = details.querySelector(".pictures");
    const fill = async () => {
      if (!details.open || place.dataset.filled) return;
      place.dataset.filled = "yes";
      place.innerHTML = (await load(details.dataset.part)).pictures;
    };
    const begin = () => fill().catch(error => { delete place.dataset.filled; complain(place)(error); });
    details.addEventListener("toggle", begin);
    begin();
  }

  function bars(classes, chosen, data) {
    const head = make("tr", [
      make("th", "class", { scope: "col" }), make("th", "labels", { scope: "col", class: "number", title: "images on which the class was observed in training" }),
      ...chosen.map(([row]) => make("th", [row.label, make("span", ` ${data.parts[row.part].name}`, { class: "muted" })], { scope: "col" })),
    ]);
    const body = [];
    let group = null;
    classes.forEach(([name, of, observed], place) => {
      if (of !== group) {
        group = of;
        const size = classes.filter(one => one[1] === of).length;
        body.push(make("tr", make("th", `${of}, ${size} ${size === 1 ? "class" : "classes"}`, { colspan: chosen.length + 2, scope: "rowgroup" }), { class: "group" }));
      }
      body.push(make("tr", [
        make("th", name, { scope: "row" }), make("td", observed === null ? "–" : String(observed), { class: "number" }),
        ...chosen.map(([, ap]) => bar(ap[place], of)),
      ]));
    });
    return make("div", make("table", [make("thead", head), make("tbody", body)], { class: "plain by-class" }), { class: "wide" });
  }

  function bar(seeds, group) {
    const known = seeds.filter(value => value !== null);
    if (known.length < seeds.length || !known.length) return make("td", "–", { class: "bar" });
    const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
    const fill = make("span", "", { class: `fill ${group}` });
    fill.style.width = `${mean}%`;
    const dots = known.map(value => {
      const dot = make("span", "", { class: "dot" });
      dot.style.left = `${value}%`;
      return dot;
    });
    return make("td", [make("span", [fill, ...dots], { class: "track", title: known.map(value => value.toFixed(2)).join(", ") }), make("span", mean.toFixed(1), { class: "value" })], { class: "bar" });
  }

  function show(row, more, data) {
    const part = data.parts[row.part];
    const link = (text, address) => make("a", text, { href: address });
    const facts = [["section", part.name], ...data.columns.map((column, number) => [column.title, row[`c${number}`]])
      .filter(([, cell]) => cell !== null && cell !== "")
      .map(([title, cell]) => [title, Array.isArray(cell) ? cell[0] : cell])];
    if (row.rank) facts.splice(1, 0, ["rank", row.rank[0]]);
    const body = [];
    if (more.why.length) body.push(make("p", `Shown, not ranked: ${more.why.join("; ")}.`, { class: "warning" }));
    body.push(...more.notes.map(note => make("p", note)));
    const links = [...(more.card ? [link("card of the method", more.card)] : []), ...(more.paper ? [link(`printed figures: ${more.paper[0]}`, more.paper[1])] : [])];
    if (links.length) body.push(make("p", links.flatMap((one, place) => (place ? [" · ", one] : [one]))));
    body.push(make("h3", "Runs"), make("table", [
      make("thead", make("tr", ["seed", "score", "made", "record"].map(text => make("th", text, { scope: "col" })))),
      make("tbody", more.runs.map(([seed, score, created, file]) => make("tr", [
        make("td", String(seed), { class: "number" }), make("td", score === null ? "–" : score.toFixed(2), { class: "number" }), make("td", created), make("td", link("record", file)),
      ]))),
    ], { class: "plain" }));
    body.push(make("h3", "Figures and facts"), make("dl", [...facts, ["encoder", more.backbone], ["pre-training", more.pretraining], ["extras", more.extras.join(", ") || "none"]]
      .flatMap(([name, text]) => [make("dt", name), make("dd", text)]), { class: "facts" }));
    body.push(make("h3", "Options"), make("dl", Object.entries(more.config).flatMap(([name, value]) => [make("dt", name), make("dd", JSON.stringify(value))]), { class: "facts" }));
    tell(row.label, body);
  }

  function tell(title, body) {
    const dialog = document.getElementById("row");
    document.getElementById("row-title").textContent = title;
    dialog.querySelector(".body").replaceChildren(...body);
    dialog.showModal();
    dialog.scrollTop = 0;
  }

  theme();
  // Tables take longer than the first paint of the page, which shows what it is about.
  requestAnimationFrame(() => setTimeout(() => {
    document.querySelectorAll(".grid").forEach(root => grid(root).catch(complain(root.querySelector(".table"))));
    document.querySelectorAll("details[data-part]").forEach(pictures);
  }));
})();
