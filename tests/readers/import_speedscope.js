// Has speedscope's own importer read a file, and prints what it makes of it as JSON:
//     node import_speedscope.js NODE_MODULES FILE
// The package holds the web page alone: one script, whose importer is not exported. It defines its
// modules' exports by Object.defineProperty, and there the importer is seen. The page itself cannot
// start without a browser, and need not: the importer is ready before it tries.
"use strict";
const { readFileSync, readdirSync } = require("node:fs");
const { basename, join } = require("node:path");
const vm = require("node:vm");

const [, , modules, file] = process.argv;
const release = join(modules, "speedscope", "dist", "release");
const page = readdirSync(release).find((name) => /^speedscope-.*\.js$/.test(name));

let importer;
const define = Object.defineProperty;
Object.defineProperty = (target, key, descriptor) => {
  if (key === "importProfilesFromArrayBuffer") importer = descriptor.get;
  return define(target, key, descriptor);
};
const browser = new Proxy(function () {}, {
  get: (_, key) => (key === Symbol.toPrimitive ? () => "" : browser),
  set: () => true,
  apply: () => browser,
  construct: () => browser,
});
for (const name of ["document", "location", "localStorage", "matchMedia", "addEventListener"]) {
  if (!(name in globalThis)) globalThis[name] = browser;
}
globalThis.window = globalThis.self = globalThis;
console.log = console.error;

try {
  vm.runInThisContext(readFileSync(join(release, page), "utf8"));
} catch (error) {
  console.error("the page did not start:", error.message);
}
Object.defineProperty = define;

setTimeout(async () => {
  const data = readFileSync(file);
  const group = await importer()(basename(file), new Uint8Array(data).buffer);
  const profiles = group.profiles.map((profile) => {
    const stack = [];
    const stacks = [];
    const open = (node) => stack.push(node.frame.name);
    const close = (node) => {
      const own = node.getSelfWeight();
      if (own) stacks.push([stack.slice(), own]);
      stack.pop();
    };
    profile.forEachCallGrouped(open, close);
    const functions = [];
    profile.forEachFrame((frame) =>
      functions.push([frame.name, frame.file, frame.getSelfWeight(), frame.getTotalWeight()]),
    );
    return {
      name: profile.getName(),
      unit: profile.getWeightUnit(),
      total: profile.getTotalWeight(),
      stacks,
      functions,
    };
  });
  process.stdout.write(JSON.stringify({ name: group.name, profiles }));
}, 0);
