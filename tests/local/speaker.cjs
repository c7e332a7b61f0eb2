// Says to a service what comes on standard input, and prints its answers. Both are JSON, one
// document a line. CommonJS, since modules do not go by NODE_PATH.
"use strict";

const { createInterface } = require("node:readline");
const sdk = require("@aws-sdk/client-data-pipeline");

const client = new sdk.DataPipelineClient();

async function say(what, members) {
  if (what === "paginateQueryObjects") {
    const ids = [];
    for await (const page of sdk.paginateQueryObjects({ client }, members)) ids.push(...page.ids);
    return ids;
  }
  if (members.startTimestamp !== undefined) {
    members.startTimestamp = new Date(members.startTimestamp * 1000);
  }
  try {
    const { $metadata, ...answer } = await client.send(new sdk[`${what}Command`](members));
    return answer;
  } catch (error) {
    if (!(error instanceof sdk.DataPipelineServiceException)) throw error;
    return { code: error.name, message: error.message, status: error.$metadata.httpStatusCode };
  }
}

(async () => {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await say(...JSON.parse(line)))}\n`);
  }
  client.destroy();
})();
