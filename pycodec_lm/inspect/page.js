"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const make = (tag, className, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const number = (n) => n.toLocaleString("en");
  const byteOf = (bit) => Math.floor(bit / 8);
  const place = (bit) => `${number(byteOf(bit))}.${bit % 8}`;

  // Bytes that the page holds, by offset.
  const bytes = new Map();
  for (const part of data.parts) {
    for (const [offset, base64] of part.chunks) {
      const text = atob(base64);
      for (let i = 0; i < text.length; ++i) bytes.set(offset + i, text.charCodeAt(i));
    }
  }

  // Fields, by the byte they touch: [first bit, bits, element, values, scan, mcu, block, component,
  // coefficient, value]. Bits of a field that goes on behind a stuffed 00 are counted past it.
  const fields = [];
  const fieldsAt = new Map();
  const touch = (offset, field) => {
    const there = fieldsAt.get(offset);
    if (there) there.push(field); else fieldsAt.set(offset, [field]);
  };
  for (const [bit, n, element, values] of data.fields) {
    const field = { bit, n, element, values, end: bit + n, scan: -1, index: fields.length };
    fields.push(field);
    for (let o = byteOf(bit); o <= byteOf(field.end - 1); ++o) if (bytes.has(o)) touch(o, field);
  }
  const isStuffed = new Set();
  for (const window of data.symbols) {
    let bit = 0;
    let mcu = 0;
    window.delta.forEach((delta, i) => {
      bit += delta;
      mcu += window.mcu[i];
      const field = {
        bit, n: window.n[i], element: window.element[i], values: 1, scan: window.scan, mcu,
        block: window.block[i], component: window.component[i], k: window.k[i],
        value: window.value[i], index: fields.length,
      };
      if (data.elements[field.element][0] === "stuffing") isStuffed.add(bit / 8);
      fields.push(field);
    });
  }
  for (const field of fields) {
    if (field.end !== undefined) continue;
    let end = field.bit;
    for (let left = field.n; left > 0; ) {
      const o = byteOf(end);
      if (isStuffed.has(o) && end % 8 === 0 && left < field.n) { end += 8; continue; }
      touch(o, field);
      const taken = Math.min(left, 8 - (end % 8));
      end += taken;
      left -= taken;
    }
    field.end = end;
  }

  // MCUs of each scan: where they begin, and how many bits they take.
  for (const scan of data.scans) {
    let at = 0;
    scan.starts = scan.deltas.map((delta) => (at += delta));
    scan.high = Math.ceil(scan.mcus / scan.wide);
  }
  const mcuEnd = (scan, mcu) => {
    const start = scan.starts[mcu];
    let end = start + scan.bits[mcu];
    // Stuffed bytes lie inside; the next beginning bounds what they can add.
    for (let o = byteOf(start) + 1; o < Math.ceil(end / 8); ++o) {
      if (isStuffed.has(o)) end += 8;
    }
    return end;
  };
  const mcuAt = (offset) => {
    for (const [s, scan] of data.scans.entries()) {
      if (offset < scan.offset || offset >= scan.end || !scan.starts.length) continue;
      let low = 0;
      let high = scan.starts.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (scan.starts[middle] < 8 * offset + 8) low = middle; else high = middle - 1;
      }
      return [s, low];
    }
    return null;
  };

  // The hex view.
  const hex = $("hex");
  const cells = new Map();
  const order = [];
  let columns = 0;
  const roleOf = (offset) => {
    const at = fieldsAt.get(offset);
    if (!at) return "u";
    let best = at[0];
    let most = 0;
    for (const field of at) {
      const n = Math.min(field.end, 8 * offset + 8) - Math.max(field.bit, 8 * offset);
      if (n > most) { most = n; best = field; }
    }
    if (best.component >= 0) return `c${best.component}`;
    const name = data.elements[best.element][0];
    if (name === "SOI" || name.startsWith("marker")) return "m";
    if (name === "stuffing" || name === "padding") return "p";
    if (name === "Api" || name === "Cmi") return "t";
    if (name === "Qk" || name === "Li" || name === "Vi,j") return "q";
    return /^L[a-z]$/.test(name) ? "l" : "f";
  };
  const roles = new Map();
  for (const offset of bytes.keys()) roles.set(offset, roleOf(offset));
  const startsMcu = new Set();
  for (const scan of data.scans) for (const bit of scan.starts) startsMcu.add(byteOf(bit));

  const build = () => {
    const wanted = hex.clientWidth >= 490 ? 16 : 8;
    if (wanted === columns) return;
    columns = wanted;
    hex.textContent = "";
    cells.clear();
    order.length = 0;
    for (const part of data.parts) {
      const section = make("section", "part");
      const title = make("h3", "", part.name);
      title.append(make("span", "", part.title));
      title.append(make("span", "", `byte ${number(part.offset)}, ${number(part.n)} bytes`));
      section.append(title);
      let next = part.offset;
      const grid = make("div");
      grid.setAttribute("role", "grid");
      grid.setAttribute("aria-label", `Bytes of ${part.name}`);
      const gap = (n) => {
        if (n > 0) section.append(make("p", "gap", `${number(n)} bytes left out`));
      };
      for (const [offset, base64] of part.chunks) {
        gap(offset - next);
        const n = atob(base64).length;
        const here = offset === part.offset ? grid : grid.cloneNode();
        for (let i = 0; i < n; i += columns) here.append(rowOf(offset + i, Math.min(columns, n - i)));
        section.append(here);
        next = offset + n;
      }
      gap(part.offset + part.n - next);
      section.style.containIntrinsicSize = `auto ${40 + 21 * section.querySelectorAll(".row").length}px`;
      hex.append(section);
    }
    if (order.length) cells.get(order[0]).tabIndex = 0;
  };
  const rowOf = (offset, n) => {
    const row = make("div", "row");
    row.setAttribute("role", "row");
    const label = make("span", "", String(offset));
    label.setAttribute("role", "rowheader");
    row.append(label);
    for (let o = offset; o < offset + n; ++o) {
      const cell = make("span", `b ${roles.get(o)}`, bytes.get(o).toString(16).toUpperCase().padStart(2, "0"));
      if (startsMcu.has(o)) cell.classList.add("s");
      if (data.error && data.error.offset === o) cell.classList.add("wrong");
      cell.setAttribute("role", "gridcell");
      cell.tabIndex = -1;
      cell.dataset.o = o;
      cells.set(o, cell);
      order.push(o);
      row.append(cell);
    }
    return row;
  };

  // What is shown as picked: a byte or an MCU.
  let marked = [];
  let pinned = false;
  const mark = (offset, className) => {
    const cell = cells.get(offset);
    if (!cell) return;
    cell.classList.add(className);
    marked.push([cell, className]);
  };
  const unmark = () => {
    for (const [cell, className] of marked) cell.classList.remove(className);
    marked = [];
  };
  const markMcu = (s, mcu) => {
    const scan = data.scans[s];
    if (scan.starts[mcu] === undefined) return;
    const end = Math.ceil(mcuEnd(scan, mcu) / 8);
    for (let o = byteOf(scan.starts[mcu]); o < end; ++o) mark(o, "in");
  };

  const panel = $("panel");
  const title = $("panel-title");
  const bitString = (field) => {
    let text = "";
    for (let bit = field.bit; bit < field.end; ++bit) {
      const o = byteOf(bit);
      if (isStuffed.has(o) && data.elements[field.element][0] !== "stuffing") { bit += 7; continue; }
      if (!bytes.has(o)) return "";
      text += (bytes.get(o) >> (7 - (bit % 8))) & 1;
    }
    return text;
  };
  const meaning = (field, offset) => {
    const name = data.elements[field.element][0];
    if (field.component >= 0) {
      if (name === "DC code") return `${bitString(field)}: category ${field.value}`;
      if (name === "AC code") {
        if (field.value === 0) return `${bitString(field)}: end of block`;
        if (field.value === 0xF0) return `${bitString(field)}: 16 zeros`;
        return `${bitString(field)}: run ${field.value >> 4}, size ${field.value & 15}`;
      }
      return `${bitString(field)}: ${field.value}`;
    }
    if (field.values > 1) {
      const size = field.n / field.values / 8;
      const i = Math.floor((offset - field.bit / 8) / size);
      const first = field.bit / 8 + i * size;
      let value = 0;
      for (let o = first; o < first + size; ++o) value = 256 * value + (bytes.get(o) ?? 0);
      if (name === "Api" || name === "Cmi") {
        const shown = value >= 32 && value < 127 ? ` "${String.fromCharCode(value)}"` : "";
        return `byte ${number(i + 1)} of ${number(field.values)}${shown}`;
      }
      const which = name === "Qk" ? `Q${i}` : name === "Li" ? `L${i + 1}` : `symbol ${i + 1} of ${field.values}`;
      const shown = name === "Vi,j" ? value.toString(16).toUpperCase().padStart(2, "0") : value;
      return `${which} = ${shown}`;
    }
    const text = bitString(field);
    if (name === "padding") return text;
    const value = parseInt(text, 2);
    if (name === "SOI" || name.startsWith("marker") || name === "stuffing") {
      return value.toString(16).toUpperCase().padStart(2, "0");
    }
    return Number.isNaN(value) ? "" : String(value);
  };
  const mcuLine = (s, mcu) => {
    const scan = data.scans[s];
    return `Scan ${s + 1}, MCU ${number(mcu)} of ${number(scan.mcus)}, row ${Math.floor(mcu / scan.wide)}, column ${mcu % scan.wide}`;
  };
  // Of two MCUs that share a byte the first is shown, or the one asked for.
  const showByte = (offset, mcuWanted) => {
    unmark();
    mark(offset, "on");
    const value = bytes.get(offset);
    title.textContent = `Byte ${number(offset)}: ${value.toString(16).toUpperCase().padStart(2, "0")}`;
    panel.textContent = "";
    const at = fieldsAt.get(offset) ?? [];
    const here = mcuAt(offset);
    const inBlocks = at.filter((field) => field.component >= 0);
    const first = inBlocks.find((field) => field.mcu === mcuWanted) ?? inBlocks[0];
    let where = partOf(offset);
    if (first) {
      where = `${mcuLine(first.scan, first.mcu)}, component ${data.components[first.component]}, block ${first.block}, coefficient ${first.k}`;
    } else if (here && at.length === 0) {
      where = mcuLine(...here);
    }
    panel.append(make("p", "where", where));
    const bits = make("div", "bits");
    const colours = new Map(at.map((field) => [field, 1 + (field.index % 4)]));
    for (let bit = 0; bit < 8; ++bit) {
      const box = make("b", "", (value >> (7 - bit)) & 1);
      const field = at.find((f) => f.bit <= 8 * offset + bit && 8 * offset + bit < f.end);
      if (field) box.className = `x${colours.get(field)}`;
      if (data.error && data.error.offset === offset && data.error.bit === bit) box.className = "wrong";
      bits.append(box);
    }
    panel.append(bits);
    const list = make("ul", "rows");
    for (const field of at) {
      const row = make("li");
      row.append(make("i", `x${colours.get(field)}`));
      row.append(make("strong", "", data.elements[field.element][0]));
      row.append(make("span", "mono", meaning(field, offset)));
      row.append(make("span", "clause", data.elements[field.element][1].replace("T.81 ", "")));
      list.append(row);
      if (field.values > 1) continue;
      for (let o = byteOf(field.bit); o < Math.ceil(field.end / 8); ++o) mark(o, "on");
    }
    if (data.error && data.error.offset === offset) {
      list.prepend(make("li", "", data.error.message));
    }
    if (!at.length && !(data.error && data.error.offset === offset)) {
      list.append(make("li", "soft", offset < data.end ? "Its fields are not in this page." : "Not read."));
    }
    panel.append(list);
    const mcu = first ? [first.scan, first.mcu] : here;
    if (mcu) {
      chooseScan(mcu[0]);
      markMcu(...mcu);
      showBox(mcu[1]);
    } else {
      hideBox();
    }
  };
  const partOf = (offset) => {
    const part = data.parts.find((p) => p.offset <= offset && offset < p.offset + p.n);
    return part ? `${part.name}, ${part.title}` : "";
  };
  const showMcu = (mcu) => {
    unmark();
    const scan = data.scans[current];
    title.textContent = `MCU ${number(mcu)}`;
    panel.textContent = "";
    panel.append(make("p", "where", mcuLine(current, mcu)));
    const list = make("ul", "rows");
    if (mcu >= scan.starts.length) {
      list.append(make("li", "", mcu >= scan.read ? "Not reached: the data end or break before it." : "Not in this page: too many MCUs."));
    } else {
      const row = make("li");
      row.append(make("strong", "", `${number(scan.bits[mcu])} bits`));
      row.append(make("span", "", `from ${place(scan.starts[mcu])}`));
      list.append(row);
      const n = scan.components.length;
      if (scan.costs) {
        scan.components.forEach((component, i) => {
          const [dc, ac] = scan.costs.slice(2 * (mcu * n + i), 2 * (mcu * n + i) + 2);
          const line = make("li");
          const colour = make("i");
          colour.style.background = `var(--c${component})`;
          colour.style.border = "1px solid var(--soft)";
          line.append(colour, make("strong", "", `Component ${data.components[component]}`));
          line.append(make("span", "", `DC ${number(dc)}, AC ${number(ac)} bits`));
          list.append(line);
        });
      }
      if (!bytes.has(byteOf(scan.starts[mcu]))) list.append(make("li", "soft", "Its bytes are not in this page."));
      if (data.error && mcu === scan.read && !scan.whole) list.append(make("li", "", data.error.message));
      markMcu(current, mcu);
    }
    panel.append(list);
    showBox(mcu);
  };

  // The picture and its map.
  const stage = $("stage");
  const box = $("box");
  let current = 0;
  let lastMcu = 0;
  const STOPS = [[11, 7, 36], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];
  const colourOf = (share) => {
    const at = Math.min(Math.max(share, 0), 1) * (STOPS.length - 1);
    const i = Math.min(Math.floor(at), STOPS.length - 2);
    return STOPS[i].map((from, c) => Math.round(from + (STOPS[i + 1][c] - from) * (at - i)));
  };
  const rectOf = (scan, mcu) => {
    const [w, h] = scan.size;
    return [(mcu % scan.wide) * w / data.width, Math.floor(mcu / scan.wide) * h / data.height, w / data.width, h / data.height];
  };
  const put = (node, rect) => {
    [node.style.left, node.style.top, node.style.width, node.style.height] = rect.map((x) => `${100 * x}%`);
  };
  const showBox = (mcu) => {
    if (!stage || !data.scans.length) return;
    lastMcu = mcu;
    box.hidden = false;
    put(box, rectOf(data.scans[current], mcu));
  };
  const hideBox = () => { if (box) box.hidden = true; };
  const draw = () => {
    const scan = data.scans[current];
    const canvas = $("map");
    // Rows that nothing was read of need no pixels: a header can ask for 67 million MCUs.
    const rows = Math.min(scan.high, Math.max(1, Math.ceil(scan.bits.length / scan.wide)));
    canvas.width = scan.wide;
    canvas.height = rows;
    put(canvas, [0, 0, scan.wide * scan.size[0] / data.width, rows * scan.size[1] / data.height]);
    const sorted = scan.bits.slice(0, scan.read).sort((a, b) => a - b);
    const scale = $("scale");
    scale.hidden = !sorted.length;
    if (!sorted.length) return;
    const [low, middle, high] = [sorted[0], sorted[sorted.length >> 1], sorted[sorted.length - 1]];
    const share = (n) => high > low ? Math.log(Math.max(n, 1) / Math.max(low, 1)) / Math.log(high / Math.max(low, 1)) : 0.5;
    const context = canvas.getContext("2d");
    const image = context.createImageData(scan.wide, rows);
    scan.bits.forEach((n, mcu) => { if (mcu < scan.read) image.data.set([...colourOf(share(n)), 255], 4 * mcu); });
    context.putImageData(image, 0, 0);
    $("ramp").style.background = `linear-gradient(90deg, ${STOPS.map((c) => `rgb(${c})`).join(",")})`;
    $("low").textContent = `${number(low)} bits`;
    $("middle").textContent = `median ${number(middle)}`;
    $("high").textContent = `${number(high)} bits in an MCU`;
    const wrong = $("wrong");
    wrong.hidden = !data.error || scan.whole;
    if (!wrong.hidden) put(wrong, rectOf(scan, Math.min(scan.read, scan.mcus - 1)));
  };
  const chooseScan = (s) => {
    if (s === current || !stage) return;
    current = s;
    $("scan").value = String(s);
    draw();
  };
  const mcuUnder = (event) => {
    const scan = data.scans[current];
    const area = stage.getBoundingClientRect();
    const x = Math.floor((event.clientX - area.left) / area.width * data.width / scan.size[0]);
    const y = Math.floor((event.clientY - area.top) / area.height * data.height / scan.size[1]);
    return Math.min(Math.max(y, 0), scan.high - 1) * scan.wide + Math.min(Math.max(x, 0), scan.wide - 1);
  };
  // Scrolls as little as needed: the hex view alone where it scrolls by itself.
  const reveal = (cell, block) => {
    if (hex.scrollHeight <= hex.clientHeight) return cell.scrollIntoView({ block });
    const move = () => {
      const [c, h] = [cell.getBoundingClientRect(), hex.getBoundingClientRect()];
      const isInside = c.top >= h.top + 30 && c.bottom <= h.bottom - 30;
      if (block === "center" || !isInside) hex.scrollTop += c.top - h.top - h.height / 2;
    };
    move();
    // Parts that were out of sight get their true heights when they are drawn.
    requestAnimationFrame(() => { move(); requestAnimationFrame(move); });
  };
  const goTo = (offset, mcu) => {
    const cell = cells.get(offset);
    if (!cell) return;
    cell.focus({ preventScroll: true });
    reveal(cell, "center");
    showByte(offset, mcu);
  };

  hex.addEventListener("pointerover", (event) => {
    const o = event.target.dataset.o;
    if (o !== undefined && !pinned) showByte(Number(o));
  });
  hex.addEventListener("focusin", (event) => {
    const o = event.target.dataset.o;
    if (o === undefined) return;
    for (const cell of hex.querySelectorAll('.b[tabindex="0"]')) cell.tabIndex = -1;
    event.target.tabIndex = 0;
    showByte(Number(o));
  });
  hex.addEventListener("click", (event) => { if (event.target.dataset.o !== undefined) pinned = true; });
  hex.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -16 * columns, PageDown: 16 * columns }[event.key];
    if (step === undefined || event.target.dataset.o === undefined) return;
    event.preventDefault();
    const at = order.indexOf(Number(event.target.dataset.o));
    const cell = cells.get(order[Math.min(Math.max(at + step, 0), order.length - 1)]);
    cell.focus({ preventScroll: true });
    reveal(cell, "nearest");
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") pinned = false; });

  if (stage && data.scans.length) {
    $("view").hidden = false;
    if (data.scans.length > 1) {
      $("scan-choice").hidden = false;
      data.scans.forEach((_, s) => $("scan").append(new Option(String(s + 1), String(s))));
      $("scan").addEventListener("change", () => { current = Number($("scan").value); hideBox(); draw(); });
    }
    for (const input of document.querySelectorAll('[name="view"]')) {
      const apply = () => {
        if (!input.checked) return;
        $("map").style.opacity = input.value;
        stage.classList.toggle("both", input.value > 0);
      };
      input.addEventListener("change", apply);
      apply();
    }
    draw();
    stage.addEventListener("pointermove", (event) => { if (!pinned) showMcu(mcuUnder(event)); });
    stage.addEventListener("focus", () => { if (!pinned) showMcu(lastMcu); });
    const toBytes = () => {
      const start = data.scans[current].starts[lastMcu];
      if (start !== undefined) goTo(byteOf(start), lastMcu);
    };
    stage.addEventListener("click", (event) => {
      showMcu(mcuUnder(event));
      pinned = true;
      const cell = cells.get(byteOf(data.scans[current].starts[lastMcu] ?? -8));
      if (cell && hex.scrollHeight > hex.clientHeight) reveal(cell, "center");
    });
    stage.addEventListener("keydown", (event) => {
      const scan = data.scans[current];
      if (event.key === "Enter") { event.preventDefault(); return toBytes(); }
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -scan.wide, ArrowDown: scan.wide }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      showMcu(Math.min(Math.max(lastMcu + step, 0), scan.mcus - 1));
    });
  }
  build();
  new ResizeObserver(build).observe(hex);
  if (data.error && cells.has(data.error.offset)) {
    $("to-error").hidden = false;
    $("to-error").addEventListener("click", () => { pinned = true; goTo(data.error.offset); });
  }
})();
