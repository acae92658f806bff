// The program in the lab's Node target: known functions with known shares of its work.
//
// handleRequest spends three quarters of its time in renderReply and one in parseRequest; it is at
// work a quarter of the time. "app.js count" does one thing as often as it can, and prints ten times
// a second the time, its CPU time (both in nanoseconds), and how often it has done it.
"use strict";

function hotLeaf(loops) {
  let total = 0;
  for (let number = 0; number < loops; number++) {
    total = (total + number * number) % 1000003;
  }
  return total;
}

function parseRequest() {
  return hotLeaf(100000);
}

function renderReply() {
  return hotLeaf(300000);
}

function checkToken() {
  return 1;
}

function countRequest() {
  return 2;
}

function closeRequest() {
  return 3;
}

// A place from which many functions are called keeps them apart: V8 inlines none of them there, and of
// what it had inlined before, a profile that begins later knows nothing.
const STEPS = [checkToken, parseRequest, countRequest, renderReply, closeRequest];

function handleRequest() {
  let total = 0;
  for (const step of STEPS) total += step();
  return total;
}

function serve() {
  const begun = process.hrtime.bigint();
  for (let each = 0; each < 5; each++) handleRequest();
  setTimeout(serve, (3 * Number(process.hrtime.bigint() - begun)) / 1e6);
}

function cpuTime() {
  const used = process.cpuUsage();
  return (used.user + used.system) * 1000;
}

function count() {
  let done = 0;
  let told = 0n;
  const step = () => {
    const now = process.hrtime.bigint();
    if (now - told >= 100000000n) {
      console.log(`${now} ${cpuTime()} ${done}`);
      told = now;
    }
    for (let each = 0; each < 100; each++) hotLeaf(1000);
    done += 100;
    // The inspector is served between two pieces of work.
    setImmediate(step);
  };
  step();
}

if (process.argv[2] === "count") count();
else serve();
