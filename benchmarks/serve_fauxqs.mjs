// Starts fauxqs, an S3 emulator from npm, on a free port of the loopback interface and prints the port. Argument: the
// directory with node_modules. Run by cloud.py.
import { pathToFileURL } from "node:url";
const { buildApp } = await import(pathToFileURL(`${process.argv[2]}/node_modules/fauxqs/dist/app.js`).href);
const app = buildApp({ logger: false });
await app.listen({ port: 0, host: "127.0.0.1" });
console.log(JSON.stringify({ port: app.server.address().port }));
process.stdin.on("end", () => process.exit(0)).resume();
