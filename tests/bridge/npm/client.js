// SPDX-License-Identifier: Apache-2.0

// A client in another language, which reads JSON from one stream and writes JSON to another.
//
//   client.js URL read STREAM COUNT       prints the messages of a stream, a line each: subject, headers, and the value that
//                                         JSON.parse made of it
//   client.js URL write SUBJECT           publishes each line of standard input, and waits for its acknowledgement
//   client.js URL pass STREAM COUNT SUBJECT
//                                         parses each message, and publishes what JSON.stringify makes of the value

"use strict";
const { connect } = require("nats");

async function* messages_of(connection, stream, count) {
    const manager = await connection.jetstreamManager();
    for (let sequence = 1; sequence <= count; ++sequence) yield await manager.streams.getMessage(stream, { seq: sequence });
}

function shown(message) {
    const headers = {};
    for (const name of message.header.keys()) headers[name] = message.header.get(name);
    return { subject: message.subject, headers, value: message.json() };
}

async function lines_of_input() {
    let all = "";
    for await (const some of process.stdin) all += some;
    return all.split("\n").filter((line) => line !== "");
}

async function main([url, what, where, count, to]) {
    const connection = await connect({ servers: url });
    const stream = connection.jetstream();
    if (what === "read") {
        for await (const one of messages_of(connection, where, Number(count))) console.log(JSON.stringify(shown(one)));
    } else if (what === "write") {
        for (const line of await lines_of_input()) await stream.publish(where, line);
    } else {
        for await (const one of messages_of(connection, where, Number(count))) {
            await stream.publish(to, JSON.stringify(one.json()));
        }
    }
    await connection.close();
}

main(process.argv.slice(2)).catch((error) => {
    console.error(error);
    process.exit(1);
});
