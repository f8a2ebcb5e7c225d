// What every client has to do, with MQTT.js: the same in Node and in a browser.
// `mqtt`: the module; `url`: ws://..; `version`: 4 or 5; `name`: unique for the client.
// Resolves to the list of steps done; rejects with the step that was not.
globalThis.steps = async (mqtt, url, version, name) => {
  const done = [];
  const within = (what, promise) => {
    const late = new Promise((_, reject) =>
      setTimeout(() => reject(new Error(`${what}: not within 20 s; done: ${done}`)), 20000),
    );
    return Promise.race([promise, late]).then((value) => {
      done.push(what);
      return value;
    });
  };
  const connect = (id, more) => {
    const client = mqtt.connect(url, { clientId: id, protocolVersion: version, reconnectPeriod: 0, ...more });
    client.seen = [];
    client.waiting = [];
    client.on("message", (topic, payload, packet) => {
      client.seen.push({ topic, text: payload.toString(), qos: packet.qos, retain: packet.retain });
      client.waiting.splice(0).forEach((look) => look());
    });
    const connected = new Promise((resolve, reject) => {
      client.once("connect", (connack) => resolve({ client, connack }));
      client.once("error", reject);
    });
    return connected;
  };
  const sees = (client, wanted) =>
    new Promise((resolve) => {
      const look = () => {
        const found = client.seen.find(wanted);
        if (found) resolve(found);
        else client.waiting.push(look);
      };
      look();
    });
  const expiry = version === 5 ? { properties: { sessionExpiryInterval: 600 } } : {};
  const session = { clean: false, ...expiry };

  const { client: sub } = await within("connect", connect(`${name}-sub`, session));
  await within("subscribe", sub.subscribeAsync(`clients/${name}/#`, { qos: 2 }));
  const will = { topic: `clients/${name}/will`, payload: "gone", qos: 1 };
  const { client: pub } = await within("connect with will", connect(`${name}-pub`, { will }));
  for (const qos of [0, 1, 2]) {
    await within(`publish ${qos}`, pub.publishAsync(`clients/${name}/q${qos}`, `${qos}`, { qos }));
    const got = await within(`receive ${qos}`, sees(sub, (m) => m.topic.endsWith(`/q${qos}`)));
    if (got.qos !== qos || got.text !== `${qos}`) throw new Error(`QoS ${qos}: ${JSON.stringify(got)}`);
  }
  const large = "x".repeat(200000);
  await within("publish large", pub.publishAsync(`clients/${name}/large`, large, { qos: 1 }));
  await within("receive large", sees(sub, (m) => m.text === large));
  await within("publish retained", pub.publishAsync(`clients/${name}/kept`, "kept", { qos: 1, retain: true }));
  await within("receive it", sees(sub, (m) => m.topic.endsWith("/kept")));

  // While it is away, something comes; the session has it when it is back.
  await within("disconnect", sub.endAsync());
  await within("publish to a session", pub.publishAsync(`clients/${name}/away`, "away", { qos: 1 }));
  const { client: again, connack } = await within("reconnect", connect(`${name}-sub`, session));
  if (!connack.sessionPresent) throw new Error("the session is gone");
  await within("receive what came meanwhile", sees(again, (m) => m.text === "away"));

  const { client: late } = await within("connect late", connect(`${name}-late`, {}));
  await within("subscribe late", late.subscribeAsync(`clients/${name}/kept`, { qos: 1 }));
  await within("receive retained", sees(late, (m) => m.retain && m.text === "kept"));
  await within("clear retained", late.publishAsync(`clients/${name}/kept`, "", { qos: 1, retain: true }));

  // Without a DISCONNECT: the will.
  pub.stream.destroy();
  await within("receive the will", sees(again, (m) => m.topic.endsWith("/will") && m.text === "gone"));
  await within("end", Promise.all([again.endAsync(), late.endAsync()]));
  return done;
};
