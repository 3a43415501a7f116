// Starts the page: loads the runtime and the models, and gives each section those of its kind.

import { Model, startRuntime } from "./models.js";
import { Clustering } from "./clustering.js";
import { Grouping } from "./grouping.js";

const status = document.getElementById("status");

/** Fills a list of models, and calls `use` with the one that is chosen. */
function offer(section, models, use) {
  document.getElementById(section).hidden = models.length === 0;
  if (models.length === 0) return;
  const list = document.getElementById(`${section}-model`);
  models.forEach((model) => list.add(new Option(model.name, model.name)));
  list.addEventListener("change", () => use(models[list.selectedIndex]));
  use(models[0]);
}

async function start() {
  const [names] = await Promise.all([
    fetch("models.json").then((answer) => answer.json()), startRuntime(),
  ]);
  const models = [];
  for (const name of names) models.push(await Model.load(name));
  const grouping = models.filter((model) => model.grouping);
  const clustering = models.filter((model) => !model.grouping);
  document.getElementById("no-tagger").hidden =
    grouping.some((model) => model.card.model.class === "Tagger");
  if (grouping.length) {
    const view = new Grouping();
    offer("grouping", grouping, (model) => view.use(model));
  }
  if (clustering.length) {
    const view = new Clustering();
    offer("clustering", clustering, (model) => view.use(model));
  }
  status.hidden = true;
  document.body.dataset.ready = "";
}

start().catch((error) => {
  status.textContent = `This page cannot start: ${error.message}`;
  throw error;
});
