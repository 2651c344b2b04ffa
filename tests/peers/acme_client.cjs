// npm's acme-client does what a JSON object on standard input says, and answers with what it got:
// register, issue twice, change the account's key in between, give the alternate chains, revoke.
const fs = require('fs');
const http = require('http');
const path = require('path');
const tls = require('tls');
const acme = require('acme-client');

const listening = (server, port) => new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));

// Answers a challenge, and gives back what takes the answer away.
async function prove(wanted, authorization, challenge, keyAuthorization) {
    if (challenge.type === 'http-01') {
        const server = http.createServer((request, response) => response.end(keyAuthorization));
        await listening(server, wanted.http_port);
        return () => server.close();
    }
    if (challenge.type === 'tls-alpn-01') {
        const [key, cert] = await acme.crypto.createAlpnCertificate(authorization, keyAuthorization);
        const server = tls.createServer({ key, cert, ALPNProtocols: ['acme-tls/1'] });
        await listening(server, wanted.tls_port);
        return () => server.close();
    }
    const record = path.join(wanted.records, `_acme-challenge.${authorization.identifier.value}`);
    fs.appendFileSync(record, `${keyAuthorization}\n`);
    return () => fs.rmSync(record, { force: true });
}

async function issue(client, wanted) {
    const [key, csr] = await acme.crypto.createCsr({ commonName: wanted.names[0], altNames: wanted.names });
    const undo = {};
    const chain = await client.auto({
        csr,
        email: 'ada@fleet.test',
        termsOfServiceAgreed: true,
        skipChallengeVerification: true,
        challengePriority: [wanted.challenge],
        challengeCreateFn: async (authorization, challenge, keyAuthorization) => {
            undo[challenge.url] = await prove(wanted, authorization, challenge, keyAuthorization);
        },
        challengeRemoveFn: async (authorization, challenge) => undo[challenge.url]?.(),
    });
    return { chain, key: key.toString() };
}

async function main() {
    const wanted = JSON.parse(fs.readFileSync(0, 'utf8'));
    const client = new acme.Client({
        directoryUrl: wanted.directory,
        accountKey: await acme.crypto.createPrivateEcdsaKey(),
        externalAccountBinding: wanted.binding,
        backoffMin: 100,
        backoffMax: 1000,
    });
    const first = await issue(client, wanted);
    // The old key must not sign any more, and the new one must.
    await client.updateAccountKey(await acme.crypto.createPrivateEcdsaKey());
    const second = await issue(client, wanted);
    await client.revokeCertificate(second.chain, { reason: 1 });
    process.stdout.write(JSON.stringify({ first, second, account: client.getAccountUrl() }));
}

main().catch((error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exitCode = 1;
});
