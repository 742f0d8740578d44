// What the page holds of the file: bytes, the fields that touch each, and units of maps.
const contentsOf = (data, codec, byteOf) => {
  // Bytes that the page holds, by offset.
  const bytes = new Map();
  for (const part of data.parts) {
    for (const [offset, base64] of part.chunks) {
      const text = atob(base64);
      for (let i = 0; i < text.length; ++i) bytes.set(offset + i, text.charCodeAt(i));
    }
  }

  // Fields, by the byte they touch. Bits of a field that goes on behind a byte that is no data (a
  // stuffed 00, emulation prevention) are counted past it.
  const fields = [];
  const fieldsAt = new Map();
  const touch = (offset, field) => {
    const there = fieldsAt.get(offset);
    if (there) there.push(field); else fieldsAt.set(offset, [field]);
  };
  const nameOf = (field) => data.elements[field.element][0];
  const isStuffed = new Set();
  const add = (field) => {
    if (nameOf(field) === codec.stuffing) isStuffed.add(field.bit / 8);
    fields.push({ ...field, index: fields.length });
  };
  for (const [bit, n, element, values, value] of data.fields) {
    add({ bit, n, element, values, value, map: -1 });
  }
  for (const window of data.symbols) {
    let bit = 0;
    let unit = 0;
    window.delta.forEach((delta, i) => {
      bit += delta;
      unit += window.unit[i];
      add({
        bit, n: window.n[i], element: window.element[i], values: 1, map: window.map, unit,
        block: window.block[i], component: window.component?.[i], k: window.k?.[i],
        value: window.value[i],
      });
    });
  }
  for (const field of fields) {
    let end = field.bit;
    for (let left = field.n; left > 0; ) {
      const o = byteOf(end);
      if (isStuffed.has(o) && end % 8 === 0 && left < field.n) { end += 8; continue; }
      const taken = Math.min(left, 8 - (end % 8));
      if (bytes.has(o)) touch(o, field);
      end += taken;
      left -= taken;
    }
    field.end = end;
  }

  // Units (MCUs, macroblocks) of each map: where they begin, and how many bits they take.
  for (const map of data.maps) {
    let at = 0;
    map.starts = map.deltas.map((delta) => (at += delta));
    map.high = Math.ceil(map.n / map.wide);
  }
  const unitEnd = (map, unit) => {
    const start = map.starts[unit];
    let end = start + map.bits[unit];
    // Stuffed bytes lie inside; the next beginning bounds what they can add.
    for (let o = byteOf(start) + 1; o < Math.ceil(end / 8); ++o) {
      if (isStuffed.has(o)) end += 8;
    }
    return end;
  };
  const unitAt = (offset) => {
    for (const [s, map] of data.maps.entries()) {
      if (offset < map.offset || offset >= map.end || !map.starts.length) continue;
      let low = 0;
      let high = map.starts.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (map.starts[middle] < 8 * offset + 8) low = middle; else high = middle - 1;
      }
      return [s, low];
    }
    return null;
  };

  // What a byte is for: the field with most of its bits.
  const roleOf = (offset) => {
    const at = fieldsAt.get(offset);
    if (!at) return "u";
    let best = at[0];
    let most = 0;
    for (const field of at) {
      const n = Math.min(field.end, 8 * offset + 8) - Math.max(field.bit, 8 * offset);
      if (n > most) { most = n; best = field; }
    }
    return codec.role(best, nameOf(best));
  };

  const startsUnit = new Set();
  for (const map of data.maps) {
    map.starts.forEach((bit, unit) => { if (map.bits[unit]) startsUnit.add(byteOf(bit)); });
  }

  return { bytes, fields, fieldsAt, isStuffed, nameOf, roleOf, startsUnit, unitAt, unitEnd };
};
