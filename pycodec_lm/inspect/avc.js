"use strict";
const codecOf = (data, { number, place }) => {
  const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  for (const map of data.maps) {
    map.types = [...bytesOf(map.types)];
    map.qps = [...bytesOf(map.qps)];
  }
  const [N_I16, PCM, SPLIT, SKIP, DIRECT, B, B_SPLIT, B_SKIP] = [1, 25, 27, 31, 32, 33, 36, 55];
  const isSkipped = (type) => type === SKIP || type === B_SKIP;
  const classOf = (type) => {
    if (type < N_I16) return 0;
    if (type < PCM) return 1;
    if (type === PCM) return 2;
    if (type < DIRECT) return type < SPLIT ? 3 : type < SKIP ? 4 : 5;
    return type < B ? 6 : type < B_SPLIT ? 7 : type < B_SKIP ? 8 : 9;
  };
  const CLASSES = [
    ["I_NxN", [214, 69, 65]], ["I_16x16", [243, 156, 87]], ["I_PCM", [150, 40, 140]],
    ["P 16x16", [66, 133, 204]], ["P in parts", [32, 178, 150]], ["P_Skip", [120, 126, 132]],
    ["B direct", [128, 100, 200]], ["B 16x16", [100, 170, 60]], ["B in parts", [190, 180, 60]], ["B_Skip", [160, 166, 172]],
  ];
  // What bits of a macroblock are for: data.kinds.
  const kindOf = (field, name) => {
    if (["mb_type", "sub_mb_type", "transform_size_8x8_flag", "pcm_alignment_zero_bit", "coded_block_pattern", "mb_qp_delta"].includes(name)) return 0;
    if (name === "pcm_sample_luma") return 2;
    if (name === "pcm_sample_chroma") return 3;
    return field.block < 0 ? 1 : field.block < data.chroma ? 2 : 3;
  };
  const blockOf = (block) => {
    if (block < 0) return "";
    if (block === 0) return ", luma DC";
    if (block < data.chroma) return `, luma block ${block - 1}`;
    const i = block - data.chroma;
    return i < 2 ? `, ${["Cb", "Cr"][i]} DC` : `, ${["Cb", "Cr"][(i - 2) >> 2]} block ${(i - 2) & 3}`;
  };
  return {
    standard: "H.264 ",
    map: "Picture",
    firstMap: 0,
    unit: "macroblock",
    unitTitle: "Macroblock",
    oneUnit: "a macroblock",
    stuffing: "emulation_prevention_three_byte",
    hasStrip: true,
    layers: [
      { name: "Types", of: (map) => map.types.map(classOf), classes: CLASSES },
      { name: "QP", of: (map) => map.qps, word: "QP", unit: "" },
    ],
    isOfUnit: () => true,
    where: (field) => blockOf(field.block),
    role: (field, name) => {
      if (name === "start code" || name === "forbidden_zero_bit" || name.startsWith("nal_")) return "m";
      if (name === "emulation_prevention_three_byte" || name === "rbsp_trailing_bits") return "p";
      if (name === "sei_payload" || name === "NAL unit payload" || name === "ff_byte") return "t";
      if (name === "mb_skip_run") return "l";
      return field.map < 0 ? "f" : `c${kindOf(field, name)}`;
    },
    oneOf: (field, name, i, value) => {
      const shown = value >= 32 && value < 127 ? ` "${String.fromCharCode(value)}"` : "";
      return `byte ${number(i + 1)} of ${number(field.values)}${shown}`;
    },
    meaning: (field, name, bits) => {
      if (name === "start code") return bits ? `${bits.length / 8} bytes` : "";
      if (name === "rbsp_trailing_bits") return bits;
      if (name === "coeff_token") return `${bits}: TotalCoeff ${field.value >> 2}, TrailingOnes ${field.value & 3}`;
      if (name === "mb_type") {
        const type = data.maps[field.map].types[field.unit];
        return `${bits}: ${field.value}${type === undefined ? "" : `, ${data.types[type]}`}`;
      }
      return bits ? `${bits}: ${number(field.value)}` : number(field.value);
    },
    details: (map, unit) => {
      const type = map.types[unit];
      const text = isSkipped(type) && map.bins ? "" : isSkipped(type) ? `by the mb_skip_run at ${place(map.starts[unit])}` : type === PCM ? "" : `QP ${map.qps[unit]}`;
      const rows = [[`rgb(${CLASSES[classOf(type)][1]})`, data.types[type], text]];
      if (map.bins && map.bins[unit]) rows.push(["", "Says", `${map.information[unit].toFixed(2)} bits, by ${number(map.bins[unit])} bins`]);
      if (!map.costs || isSkipped(type)) return rows;
      const bits = map.costs.slice(4 * unit, 4 * unit + 4);
      return rows.concat(bits.map((n, i) => [`var(--c${i})`, data.kinds[i], `${number(n)} bits`]).filter((_, i) => bits[i]));
    },
  };
};
