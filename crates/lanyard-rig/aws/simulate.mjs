// Asks iam-simulate what AWS would say. Cases on stdin as a JSON list; results on stdout as a JSON list.
// argv[2] is the folder that it is installed in.
import { createRequire } from "node:module";
import fs from "node:fs";
import path from "node:path";

const require = createRequire(path.join(process.argv[2], "package.json"));
const { runSimulation } = require("@cloud-copilot/iam-simulate");

const results = [];
for (const it of JSON.parse(fs.readFileSync(0, "utf8"))) {
  const account = it.role.split(":")[4];
  const name = it.role.split("/").pop();
  const answer = await runSimulation(
    {
      request: {
        principal: `arn:aws:sts::${account}:assumed-role/${name}/${it.session}`,
        action: it.action,
        resource: { resource: it.resource, accountId: account },
        contextVariables: {
          "aws:CurrentTime": it.at,
          "aws:TokenIssueTime": it.issued,
          "aws:SourceIdentity": it.session,
          ...it.context,
        },
      },
      sessionPolicy: it.policy,
      resourcePolicy: it.resourcePolicy,
      identityPolicies: it.rolePolicies.map((policy, at) => ({ name: `policy-${at}`, policy })),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  );
  const result = answer.analysis?.result ?? answer.overallResult;
  results.push(result ?? `no result: ${JSON.stringify(answer).slice(0, 500)}`);
}
console.log(JSON.stringify(results));
