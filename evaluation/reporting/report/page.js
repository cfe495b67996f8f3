"use strict";
// The page of an evaluation: sorting, keys, and linked views of a case. NiiVue shows the slices; the outlines are drawn
// over them along the edges of the voxels, at the places that NiiVue gives.

const body = document.querySelector("#cases tbody");
const dialog = document.getElementById("view");
const slices = document.getElementById("slices");
const outlines = document.getElementById("outlines");
const structures = JSON.parse(document.getElementById("structures").textContent);
const sides = [
  { name: "reference", shift: 0, width: 3 },
  { name: "prediction", shift: 4, width: 2 },
];
const OPPOSITE = { L: "R", R: "L", A: "P", P: "A", S: "I", I: "S" };
const SCALES_MM = [100, 50, 20, 10, 5, 2, 1];
let viewer = null;
let shown = null;
let current = null;
let queue = Promise.resolve();

const rows = () => [...body.rows];
const rowOf = (name) => rows().find((row) => row.dataset.case === name);

// Sorting: the first click puts the worst first, the next one the best.
for (const button of document.querySelectorAll("#cases thead button")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const column = heading.cellIndex;
    const first = button.dataset.worst === "high" ? "descending" : "ascending";
    const second = first === "ascending" ? "descending" : "ascending";
    const order = heading.getAttribute("aria-sort") === first ? second : first;
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const value = (row) => row.cells[column].dataset.value;
    const compare = button.dataset.kind === "number"
      ? (a, b) => Number(value(a)) - Number(value(b))
      : (a, b) => a.dataset.case.localeCompare(b.dataset.case, undefined, { numeric: true });
    body.append(...rows().sort((a, b) => sign * compare(a, b)));
  });
}

function focusRow(row) {
  for (const other of rows()) other.tabIndex = -1;
  row.tabIndex = 0;
  row.focus();
}

body.addEventListener("keydown", (event) => {
  const row = event.target.closest("tr");
  const all = rows();
  const targets = {
    ArrowDown: row.nextElementSibling,
    ArrowUp: row.previousElementSibling,
    Home: all[0],
    End: all[all.length - 1],
  };
  if (event.key in targets) {
    if (targets[event.key]) focusRow(targets[event.key]);
  } else if (event.key === "Enter" || event.key === " ") {
    openCase(row.dataset.case);
  } else {
    return;
  }
  event.preventDefault();
});
body.addEventListener("click", (event) => openCase(event.target.closest("tr").dataset.case));
for (const dot of document.querySelectorAll(".dot")) {
  dot.addEventListener("click", () => openCase(dot.dataset.case));
}

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

async function makeViewer() {
  const source = await unpacked(document.getElementById("viewer").textContent);
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const { Niivue } = await import(url);
  URL.revokeObjectURL(url);
  const made = new Niivue({
    isRadiologicalConvention: true,
    backColor: [0, 0, 0, 1],
    crosshairWidth: 0,
    multiplanarShowRender: 0,
    // The page writes its own letters, on a dark rim and at every edge.
    isOrientationTextVisible: false,
    loadingText: "",
    logLevel: "error",
  });
  await made.attachToCanvas(slices);
  made.setSliceType(made.sliceTypeMultiplanar);
  made.setInterpolation(true);
  const draw = made.drawScene.bind(made);
  made.drawScene = (...given) => {
    const result = draw(...given);
    drawOutlines();
    return result;
  };
  return made;
}

const holderOf = (name) => [...document.querySelectorAll("script[data-view]")].find((node) => node.dataset.view === name);

function openCase(name) {
  if (!holderOf(name)) return;
  current = name;
  dialog.dataset.state = "loading";
  document.getElementById("view-title").textContent = name;
  document.getElementById("view-notes").textContent = "";
  document.getElementById("view-slice").textContent = "";
  document.getElementById("view-scores").textContent = rowOf(name).dataset.caption;
  if (!dialog.open) dialog.showModal();
  // One after the other, and only the last one asked for: NiiVue would show two volumes that load at once.
  queue = queue.then(() => (name === current ? show(name) : undefined));
}

async function show(name) {
  const data = JSON.parse(holderOf(name).textContent);
  shown = null;
  document.getElementById("view-notes").textContent = data.notes.join("; ");
  try {
    viewer ??= await makeViewer();
    const labels = new Uint8Array(await unpacked(data.labels));
    const image = await unpacked(data.image);
    while (viewer.volumes.length) viewer.removeVolumeByIndex(0);
    await viewer.loadFromArrayBuffer(image, `${name}.nii`);
    shown = { ...data, name, labels };
    viewer.scene.crosshairPos = data.open.map((index, axis) => (index + 0.5) / data.size[axis]);
    viewer.updateGLVolume();
    viewer.drawScene();
    dialog.dataset.state = "shown";
  } catch (error) {
    dialog.dataset.state = "failed";
    document.getElementById("view-notes").textContent = `This browser cannot show the slices: ${error}`;
  }
}

// Where NiiVue puts a tile: canvas = origin + sum of (part of the volume's side) * step, by asking it at three points.
function tilePlacement(tile) {
  const [left, top, width, height] = tile.leftTopWidthHeight;
  const at = (u, v) => {
    const point = [left + u * width, top + v * height];
    return { point, part: viewer.canvasPos2frac(point) };
  };
  const [a, b, c] = [at(0.4, 0.4), at(0.6, 0.4), at(0.4, 0.6)];
  if ([a, b, c].some(({ part }) => part[0] < 0)) return null;
  const axes = [[0, 1, 2], [0, 2, 1], [1, 2, 0]][tile.axCorSag];
  const [across, up, through] = axes;
  const stepX = (b.point[0] - a.point[0]) / (b.part[across] - a.part[across]);
  const stepY = (c.point[1] - a.point[1]) / (c.part[up] - a.part[up]);
  return {
    axes,
    depth: a.part[through],
    x: (part) => a.point[0] + (part - a.part[across]) * stepX,
    y: (part) => a.point[1] + (part - a.part[up]) * stepY,
    clip: [left, top, width, height],
  };
}

function drawOutlines() {
  outlines.width = slices.width;
  outlines.height = slices.height;
  if (!shown || !viewer.volumes.length) return;
  writeSliceNumber();
  const pen = outlines.getContext("2d");
  const scale = slices.width / slices.clientWidth || 1;
  for (const tile of viewer.screenSlices) {
    if (tile.axCorSag > 2) continue;
    const placement = tilePlacement(tile);
    if (!placement) continue;
    pen.save();
    pen.beginPath();
    pen.rect(...placement.clip);
    pen.clip();
    drawCrosshair(pen, placement, scale);
    for (const side of sides) {
      if (!isShown(side.name)) continue;
      pen.lineWidth = side.width * scale;
      for (const structure of structures) {
        pen.strokeStyle = structure[side.name];
        pen.stroke(outlinePath(side, structure.values, placement));
      }
    }
    if (isShown("marks")) {
      drawSides(pen, placement, scale);
      drawScaleBar(pen, placement, scale);
    }
    pen.restore();
  }
}

// Axial slices count from 0 at the feet, in the whole image.
function writeSliceNumber() {
  const [, , depth] = viewer.scene.crosshairPos;
  const slices = shown.size[2];
  const index = Math.min(slices - 1, Math.max(0, Math.floor(depth * slices)));
  document.getElementById("view-slice").textContent = `axial slice ${shown.first + index} (0 to ${shown.slices - 1}, from the feet)`;
}

// White on a dark rim, which shows on fluid and on bone.
function write(pen, text, x, y, scale) {
  pen.font = `600 ${14 * scale}px system-ui, sans-serif`;
  pen.lineJoin = "round";
  pen.lineWidth = 3 * scale;
  pen.strokeStyle = "#000";
  pen.fillStyle = "#fff";
  pen.strokeText(text, x, y);
  pen.fillText(text, x, y);
}

// The side of the patient that each edge of a tile faces: by where the image's axes run to in the patient, and whether
// NiiVue shows them forwards or backwards.
function edgesOf({ axes: [across, up], x, y }) {
  const right = x(1) > x(0) ? shown.towards[across] : OPPOSITE[shown.towards[across]];
  const bottom = y(1) > y(0) ? shown.towards[up] : OPPOSITE[shown.towards[up]];
  return { left: OPPOSITE[right], right, top: OPPOSITE[bottom], bottom };
}

function drawSides(pen, placement, scale) {
  const [left, top, width, height] = placement.clip;
  const edges = edgesOf(placement);
  const inset = 12 * scale;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  write(pen, edges.left, left + inset, top + height / 2, scale);
  write(pen, edges.right, left + width - inset, top + height / 2, scale);
  write(pen, edges.top, left + width / 2, top + inset, scale);
  write(pen, edges.bottom, left + width / 2, top + height - inset, scale);
}

// The largest of some round lengths that takes a third of the tile at most.
function scaleBar({ axes: [across], x, clip: [, , width] }) {
  const pixelsPerMm = Math.abs(x(1) - x(0)) / (shown.size[across] * shown.spacing[across]);
  const mm = SCALES_MM.find((length) => length * pixelsPerMm <= width / 3);
  return mm ? { mm, pixels: mm * pixelsPerMm } : null;
}

function drawScaleBar(pen, placement, scale) {
  const bar = scaleBar(placement);
  if (!bar) return;
  const [left, top, , height] = placement.clip;
  const start = left + 8 * scale;
  const line = top + height - 8 * scale;
  const path = new Path2D(`M${start} ${line}h${bar.pixels}`);
  pen.strokeStyle = "#000";
  pen.lineWidth = 5 * scale;
  pen.stroke(path);
  pen.strokeStyle = "#fff";
  pen.lineWidth = 3 * scale;
  pen.stroke(path);
  pen.textAlign = "left";
  pen.textBaseline = "bottom";
  write(pen, `${bar.mm} mm`, start, line - 4 * scale, scale);
}

// NiiVue's own is as wide as a voxel and hides the outlines.
function drawCrosshair(pen, { axes: [across, up], x, y, clip: [left, top, width, height] }, scale) {
  const [column, line] = [x(viewer.scene.crosshairPos[across]), y(viewer.scene.crosshairPos[up])];
  pen.strokeStyle = "rgb(255 255 255 / .4)";
  pen.lineWidth = scale;
  pen.stroke(new Path2D(`M${column} ${top}V${top + height}M${left} ${line}H${left + width}`));
}

// Every edge between two voxels of a slice whose labels differ and one of which has a value of the structure.
function outlinePath(side, values, { axes: [across, up, through], depth, x, y }) {
  const { size, labels } = shown;
  const strides = [1, size[0], size[0] * size[1]];
  const slice = Math.min(size[through] - 1, Math.max(0, Math.floor(depth * size[through])));
  const [columns, lines] = [size[across], size[up]];
  const label = (i, j) => {
    if (i < 0 || j < 0 || i >= columns || j >= lines) return 0;
    const value = (labels[i * strides[across] + j * strides[up] + slice * strides[through]] >> side.shift) & 15;
    return values.includes(value) ? value : 0;
  };
  const path = new Path2D();
  for (let j = 0; j <= lines; j += 1) {
    for (let i = 0; i <= columns; i += 1) {
      const here = label(i, j);
      if (here !== label(i - 1, j)) {
        path.moveTo(x(i / columns), y(j / lines));
        path.lineTo(x(i / columns), y((j + 1) / lines));
      }
      if (here !== label(i, j - 1)) {
        path.moveTo(x(i / columns), y(j / lines));
        path.lineTo(x((i + 1) / columns), y(j / lines));
      }
    }
  }
  return path;
}

function openNeighbour(step) {
  const all = rows().filter((row) => row.classList.contains("shown"));
  const index = all.findIndex((row) => row.dataset.case === current);
  const row = all[index + step];
  if (row) openCase(row.dataset.case);
}

function moveSlice(step) {
  if (shown) viewer.moveCrosshairInVox(0, 0, step);
}

const isShown = (name) => document.getElementById(`show-${name}`).checked;

function toggle(name) {
  const box = document.getElementById(`show-${name}`);
  box.checked = !box.checked;
  drawOutlines();
}

dialog.addEventListener("keydown", (event) => {
  const actions = {
    ArrowLeft: () => openNeighbour(-1),
    ArrowRight: () => openNeighbour(1),
    ArrowUp: () => moveSlice(1),
    ArrowDown: () => moveSlice(-1),
    r: () => toggle("reference"),
    p: () => toggle("prediction"),
    m: () => toggle("marks"),
  };
  if (!(event.key in actions)) return;
  // NiiVue listens on its canvas too, and would move twice.
  event.preventDefault();
  event.stopPropagation();
  actions[event.key]();
}, true);
dialog.addEventListener("close", () => {
  const row = rowOf(current);
  if (row) focusRow(row);
});
document.getElementById("previous").addEventListener("click", () => openNeighbour(-1));
document.getElementById("next").addEventListener("click", () => openNeighbour(1));
document.getElementById("lower").addEventListener("click", () => moveSlice(-1));
document.getElementById("higher").addEventListener("click", () => moveSlice(1));
document.getElementById("close").addEventListener("click", () => dialog.close());
for (const name of ["reference", "prediction", "marks"]) {
  document.getElementById(`show-${name}`).addEventListener("change", drawOutlines);
}
