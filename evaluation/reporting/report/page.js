"use strict";
// The page of an evaluation: sorting, keys, and linked views of a case. NiiVue shows the slices; the outlines are drawn
// over them along the edges of the voxels, at the places that NiiVue gives.

const body = document.querySelector("#cases tbody");
const dialog = document.getElementById("view");
const slices = document.getElementById("slices");
const outlines = document.getElementById("outlines");
const sides = [
  { name: "reference", shift: 0, colour: "#ffb000", width: 3 },
  { name: "prediction", shift: 4, colour: "#00c2ff", width: 1.5 },
];
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
    isOrientationTextVisible: true,
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
    shown = { name, size: data.size, labels };
    viewer.scene.crosshairPos = fullestPlace(shown);
    viewer.updateGLVolume();
    viewer.drawScene();
    dialog.dataset.state = "shown";
  } catch (error) {
    dialog.dataset.state = "failed";
    document.getElementById("view-notes").textContent = `This browser cannot show the slices: ${error}`;
  }
}

// The middle of the reference, or of a prediction without one, in the slice that holds most of it, as parts of the
// volume's sides.
function fullestPlace({ size, labels }) {
  const [nx, ny, nz] = size;
  const sought = labels.some((label) => label & 15) ? 15 : 255;
  const counts = new Array(nz).fill(0);
  labels.forEach((label, index) => { if (label & sought) counts[Math.floor(index / (nx * ny))] += 1; });
  const z = counts.indexOf(Math.max(...counts));
  let x = 0, y = 0, count = 0;
  for (let index = z * nx * ny; index < (z + 1) * nx * ny; index += 1) {
    if (!(labels[index] & sought)) continue;
    x += index % nx;
    y += Math.floor(index / nx) % ny;
    count += 1;
  }
  const middle = count ? [x / count, y / count, z] : size.map((n) => Math.floor(n / 2));
  return middle.map((value, axis) => (Math.floor(value) + 0.5) / size[axis]);
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
      if (!document.getElementById(`show-${side.name}`).checked) continue;
      pen.strokeStyle = side.colour;
      pen.lineWidth = side.width * scale;
      pen.stroke(outlinePath(side, placement));
    }
    pen.restore();
  }
}

// NiiVue's own is as wide as a voxel and hides the outlines.
function drawCrosshair(pen, { axes: [across, up], x, y, clip: [left, top, width, height] }, scale) {
  const [column, line] = [x(viewer.scene.crosshairPos[across]), y(viewer.scene.crosshairPos[up])];
  pen.strokeStyle = "rgb(255 255 255 / .4)";
  pen.lineWidth = scale;
  pen.stroke(new Path2D(`M${column} ${top}V${top + height}M${left} ${line}H${left + width}`));
}

// Every edge between two voxels of a slice whose labels differ.
function outlinePath(side, { axes: [across, up, through], depth, x, y }) {
  const { size, labels } = shown;
  const strides = [1, size[0], size[0] * size[1]];
  const slice = Math.min(size[through] - 1, Math.max(0, Math.floor(depth * size[through])));
  const [columns, lines] = [size[across], size[up]];
  const label = (i, j) => i < 0 || j < 0 || i >= columns || j >= lines
    ? 0
    : (labels[i * strides[across] + j * strides[up] + slice * strides[through]] >> side.shift) & 15;
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

function toggle(name) {
  const box = document.getElementById(`show-${name}`);
  box.checked = !box.checked;
  drawOutlines();
}

dialog.addEventListener("keydown", (event) => {
  const actions = {
    ArrowLeft: () => openNeighbour(-1),
    ArrowRight: () => openNeighbour(1),
    ArrowUp: () => viewer?.moveCrosshairInVox(0, 0, 1),
    ArrowDown: () => viewer?.moveCrosshairInVox(0, 0, -1),
    r: () => toggle("reference"),
    p: () => toggle("prediction"),
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
document.getElementById("close").addEventListener("click", () => dialog.close());
for (const side of sides) {
  document.getElementById(`show-${side.name}`).addEventListener("change", drawOutlines);
}
