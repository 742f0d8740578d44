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

  // What differs between codecs: jpeg.js, avc.js.
  const codec = codecOf(data, { number, place });

  const { bytes, fields, fieldsAt, isStuffed, nameOf, roleOf, startsUnit, unitAt, unitEnd } =
    contentsOf(data, codec, byteOf);

  // The hex view.
  const hex = $("hex");
  const cells = new Map();
  const order = [];
  let columns = 0;
  const roles = new Map();
  for (const offset of bytes.keys()) roles.set(offset, roleOf(offset));

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
      if (startsUnit.has(o)) cell.classList.add("s");
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

  // What is shown as picked: a byte or a unit.
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
  const markUnit = (s, unit) => {
    const map = data.maps[s];
    if (map.starts[unit] === undefined) return;
    const end = Math.ceil(unitEnd(map, unit) / 8);
    for (let o = byteOf(map.starts[unit]); o < end; ++o) mark(o, "in");
  };

  const panel = $("panel");
  const title = $("panel-title");
  const bitString = (field) => {
    let text = "";
    for (let bit = field.bit; bit < field.end; ++bit) {
      const o = byteOf(bit);
      if (isStuffed.has(o) && nameOf(field) !== codec.stuffing) { bit += 7; continue; }
      if (!bytes.has(o)) return "";
      text += (bytes.get(o) >> (7 - (bit % 8))) & 1;
    }
    return text;
  };
  const meaning = (field, offset) => {
    const name = nameOf(field);
    if (field.values > 1) {
      const size = field.n / field.values / 8;
      const i = Math.floor((offset - field.bit / 8) / size);
      const first = field.bit / 8 + i * size;
      let value = 0;
      for (let o = first; o < first + size; ++o) value = 256 * value + (bytes.get(o) ?? 0);
      return codec.oneOf(field, name, i, value);
    }
    return codec.meaning(field, name, bitString(field));
  };
  const unitLine = (s, unit) => {
    const map = data.maps[s];
    return `${codec.map} ${s + codec.firstMap}, ${codec.unit} ${number(unit)} of ${number(map.n)}, row ${Math.floor(unit / map.wide)}, column ${unit % map.wide}`;
  };
  // Of two units that share a byte the first is shown, or the one asked for.
  const showByte = (offset, unitWanted) => {
    unmark();
    mark(offset, "on");
    const value = bytes.get(offset);
    title.textContent = `Byte ${number(offset)}: ${value.toString(16).toUpperCase().padStart(2, "0")}`;
    panel.textContent = "";
    const at = fieldsAt.get(offset) ?? [];
    const inBlocks = at.filter((field) => field.map >= 0 && codec.isOfUnit(field));
    // Between the units of a map there may be headers.
    const here = at.some((field) => field.map < 0) ? null : unitAt(offset);
    const first = inBlocks.find((field) => field.unit === unitWanted) ?? inBlocks[0];
    let where = partOf(offset);
    if (first) {
      where = `${unitLine(first.map, first.unit)}${codec.where(first)}`;
    } else if (here && at.length === 0) {
      where = unitLine(...here);
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
      row.append(make("strong", "", nameOf(field)));
      row.append(make("span", "mono", meaning(field, offset)));
      row.append(make("span", "clause", data.elements[field.element][1].replace(codec.standard, "")));
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
    const unit = first ? [first.map, first.unit] : here;
    if (unit) {
      chooseMap(unit[0]);
      markUnit(...unit);
      showBox(unit[1]);
    } else {
      hideBox();
    }
  };
  const partOf = (offset) => {
    const part = data.parts.find((p) => p.offset <= offset && offset < p.offset + p.n);
    return part ? `${part.name}, ${part.title}` : "";
  };
  const showUnit = (unit) => {
    unmark();
    const map = data.maps[current];
    title.textContent = `${codec.unitTitle} ${number(unit)}`;
    panel.textContent = "";
    panel.append(make("p", "where", unitLine(current, unit)));
    const list = make("ul", "rows");
    if (unit >= map.starts.length) {
      list.append(make("li", "", unit >= map.read ? "Not reached: the data end or break before it." : `Not in this page: too many ${codec.unit}s.`));
    } else {
      const row = make("li");
      row.append(make("strong", "", `${number(map.bits[unit])} bits`));
      row.append(make("span", "", `from ${place(map.starts[unit])}`));
      list.append(row);
      for (const [colour, name, text] of codec.details(map, unit)) {
        const line = make("li");
        const dot = make("i");
        if (colour) {
          dot.style.background = colour;
          dot.style.border = "1px solid var(--soft)";
        }
        line.append(dot, make("strong", "", name), make("span", "", text));
        list.append(line);
      }
      if (!bytes.has(byteOf(map.starts[unit]))) list.append(make("li", "soft", "Its bytes are not in this page."));
      if (data.error && unit === map.read && !map.whole) list.append(make("li", "", data.error.message));
      markUnit(current, unit);
    }
    panel.append(list);
    showBox(unit);
  };

  // The picture and its map.
  const stage = $("stage");
  const box = $("box");
  let current = 0;
  let lastUnit = 0;
  const STOPS = [[11, 7, 36], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];
  const colourOf = (share) => {
    const at = Math.min(Math.max(share, 0), 1) * (STOPS.length - 1);
    const i = Math.min(Math.floor(at), STOPS.length - 2);
    return STOPS[i].map((from, c) => Math.round(from + (STOPS[i + 1][c] - from) * (at - i)));
  };
  // In shares of the picture, of which what is cropped is no part.
  const rectOf = (map, unit) => {
    const [w, h] = map.size;
    const [left, top] = map.crop;
    return [((unit % map.wide) * w - left) / map.width, (Math.floor(unit / map.wide) * h - top) / map.height, w / map.width, h / map.height];
  };
  const put = (node, rect) => {
    [node.style.left, node.style.top, node.style.width, node.style.height] = rect.map((x) => `${100 * x}%`);
  };
  const showBox = (unit) => {
    if (!stage || !data.maps.length) return;
    lastUnit = unit;
    box.hidden = false;
    put(box, rectOf(data.maps[current], unit));
  };
  const hideBox = () => { if (box) box.hidden = true; };
  const LAYERS = [{
    name: "Bits", of: (map) => map.bits, word: "bits", unit: ` in ${codec.oneUnit}`, isLogarithmic: true,
  }, ...codec.layers];
  let layer = LAYERS[0];
  const drawRamp = (values, paint) => {
    const sorted = [...values].sort((a, b) => a - b);
    $("scale").hidden = !sorted.length;
    if (!sorted.length) return;
    const [low, middle, high] = [sorted[0], sorted[sorted.length >> 1], sorted[sorted.length - 1]];
    const level = (n) => layer.isLogarithmic ? Math.log(Math.max(n, 1)) : n;
    const share = (n) => high > low && level(high) > level(low) ? (level(n) - level(low)) / (level(high) - level(low)) : 0.5;
    values.forEach((n, unit) => paint(unit, colourOf(share(n))));
    $("ramp").style.background = `linear-gradient(90deg, ${STOPS.map((c) => `rgb(${c})`).join(",")})`;
    $("low").textContent = `${number(low)} ${layer.word}`;
    $("middle").textContent = `median ${number(middle)}`;
    $("high").textContent = `${number(high)} ${layer.word}${layer.unit}`;
  };
  const drawClasses = (values, paint) => {
    values.forEach((value, unit) => paint(unit, layer.classes[value][1]));
    const list = $("classes");
    list.textContent = "";
    layer.classes.forEach(([name, colour], value) => {
      const item = make("li");
      const dot = make("i", "b");
      dot.style.background = `rgb(${colour})`;
      item.append(dot, `${name}: ${number(values.filter((v) => v === value).length)}`);
      list.append(item);
    });
  };
  const draw = () => {
    const map = data.maps[current];
    const canvas = $("map");
    // Rows that nothing was read of need no pixels: a header can ask for 67 million units.
    const rows = Math.min(map.high, Math.max(1, Math.ceil(map.bits.length / map.wide)));
    canvas.width = map.wide;
    canvas.height = rows;
    const [left, top] = rectOf(map, 0);
    put(canvas, [left, top, map.wide * map.size[0] / map.width, rows * map.size[1] / map.height]);
    stage.style.setProperty("--ratio", Math.min(Math.max(map.width / map.height, 1 / 16), 16));
    if (map.image && $("image")) $("image").src = map.image;
    const context = canvas.getContext("2d");
    const image = context.createImageData(map.wide, rows);
    const paint = (unit, colour) => image.data.set([...colour, 255], 4 * unit);
    $("scale").hidden = Boolean(layer.classes);
    $("classes").hidden = !layer.classes;
    (layer.classes ? drawClasses : drawRamp)(layer.of(map).slice(0, map.read), paint);
    context.putImageData(image, 0, 0);
    const wrong = $("wrong");
    wrong.hidden = !data.error || map.whole;
    if (!wrong.hidden) put(wrong, rectOf(map, Math.min(map.read, map.n - 1)));
    for (const bar of $("strip").children) bar.classList.toggle("on", Number(bar.dataset.map) === current);
  };
  const chooseMap = (s) => {
    if (s === current || !stage) return;
    current = s;
    $("number").value = String(s);
    draw();
  };
  const unitUnder = (event) => {
    const map = data.maps[current];
    const area = stage.getBoundingClientRect();
    const x = Math.floor(((event.clientX - area.left) / area.width * map.width + map.crop[0]) / map.size[0]);
    const y = Math.floor(((event.clientY - area.top) / area.height * map.height + map.crop[1]) / map.size[1]);
    return Math.min(Math.max(y, 0), map.high - 1) * map.wide + Math.min(Math.max(x, 0), map.wide - 1);
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
  const goTo = (offset, unit) => {
    const cell = cells.get(offset);
    if (!cell) return;
    cell.focus({ preventScroll: true });
    reveal(cell, "center");
    showByte(offset, unit);
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

  if (stage && data.maps.length) {
    $("view").hidden = false;
    if (data.maps.length > 1) {
      $("map-choice").hidden = false;
      data.maps.forEach((_, s) => $("number").append(new Option(String(s + codec.firstMap), String(s))));
      $("number").addEventListener("change", () => { hideBox(); chooseMap(Number($("number").value)); });
    }
    if (codec.hasStrip && data.maps.length > 1) {
      const totals = data.maps.map((map) => map.total);
      const most = Math.max(...totals, 1);
      const strip = $("strip");
      strip.hidden = false;
      totals.forEach((total, s) => {
        const bar = make("i", data.maps[s].kind);
        bar.dataset.map = s;
        bar.title = `${codec.map} ${s + codec.firstMap}: ${number(total)} bits`;
        bar.style.setProperty("--share", total / most);
        bar.addEventListener("click", () => { hideBox(); chooseMap(s); });
        strip.append(bar);
      });
    }
    if (codec.layers.length) {
      $("layers").hidden = false;
      LAYERS.forEach((each, i) => {
        const label = make("label");
        const input = make("input");
        input.type = "radio";
        input.name = "layer";
        input.checked = i === 0;
        input.addEventListener("change", () => { layer = each; draw(); });
        label.append(input, make("span", "", each.name));
        $("layers").append(label);
      });
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
    stage.addEventListener("pointermove", (event) => { if (!pinned) showUnit(unitUnder(event)); });
    stage.addEventListener("focus", () => { if (!pinned) showUnit(lastUnit); });
    const toBytes = () => {
      const start = data.maps[current].starts[lastUnit];
      if (start !== undefined) goTo(byteOf(start), lastUnit);
    };
    stage.addEventListener("click", (event) => {
      showUnit(unitUnder(event));
      pinned = true;
      const cell = cells.get(byteOf(data.maps[current].starts[lastUnit] ?? -8));
      if (cell && hex.scrollHeight > hex.clientHeight) reveal(cell, "center");
    });
    stage.addEventListener("keydown", (event) => {
      const map = data.maps[current];
      if (event.key === "Enter") { event.preventDefault(); return toBytes(); }
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -map.wide, ArrowDown: map.wide }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      showUnit(Math.min(Math.max(lastUnit + step, 0), map.n - 1));
    });
  }
  build();
  new ResizeObserver(build).observe(hex);
  if (data.error && cells.has(data.error.offset)) {
    $("to-error").hidden = false;
    $("to-error").addEventListener("click", () => { pinned = true; goTo(data.error.offset); });
  }
})();
