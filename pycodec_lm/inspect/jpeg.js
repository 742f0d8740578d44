"use strict";
const codecOf = (data, { number }) => ({
  standard: "T.81 ",
  map: "Scan",
  firstMap: 1,
  unit: "MCU",
  unitTitle: "MCU",
  oneUnit: "an MCU",
  stuffing: "stuffing",
  layers: [],
  isOfUnit: (field) => field.component >= 0,
  where: (field) => `, component ${data.components[field.component]}, block ${field.block}, coefficient ${field.k}`,
  // The class of a byte in page.css.
  role: (field, name) => {
    if (field.component >= 0) return `c${field.component}`;
    if (name === "SOI" || name.startsWith("marker")) return "m";
    if (name === "stuffing" || name === "padding") return "p";
    if (name === "Api" || name === "Cmi") return "t";
    if (name === "Qk" || name === "Li" || name === "Vi,j") return "q";
    return /^L[a-z]$/.test(name) ? "l" : "f";
  },
  // One of several values of a field, from 0.
  oneOf: (field, name, i, value) => {
    if (name === "Api" || name === "Cmi") {
      const shown = value >= 32 && value < 127 ? ` "${String.fromCharCode(value)}"` : "";
      return `byte ${number(i + 1)} of ${number(field.values)}${shown}`;
    }
    const which = name === "Qk" ? `Q${i}` : name === "Li" ? `L${i + 1}` : `symbol ${i + 1} of ${field.values}`;
    return `${which} = ${name === "Vi,j" ? value.toString(16).toUpperCase().padStart(2, "0") : value}`;
  },
  meaning: (field, name, bits) => {
    if (field.component >= 0) {
      if (name === "DC code") return `${bits}: category ${field.value}`;
      if (name === "AC code") {
        if (field.value === 0) return `${bits}: end of block`;
        if (field.value === 0xF0) return `${bits}: 16 zeros`;
        return `${bits}: run ${field.value >> 4}, size ${field.value & 15}`;
      }
      return `${bits}: ${field.value}`;
    }
    if (name === "padding") return bits;
    const value = parseInt(bits, 2);
    if (name === "SOI" || name.startsWith("marker") || name === "stuffing") {
      return value.toString(16).toUpperCase().padStart(2, "0");
    }
    return Number.isNaN(value) ? "" : String(value);
  },
  // What an MCU consists of: colour, name, text.
  details: (map, unit) => {
    if (!map.costs) return [];
    const n = map.components.length;
    return map.components.map((component, i) => {
      const [dc, ac] = map.costs.slice(2 * (unit * n + i), 2 * (unit * n + i) + 2);
      return [`var(--c${component})`, `Component ${data.components[component]}`, `DC ${number(dc)}, AC ${number(ac)} bits`];
    });
  },
});
