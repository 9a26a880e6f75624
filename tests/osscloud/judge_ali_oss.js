// Drives ali-oss, the vendor's SDK for node. Arguments: directory with node_modules, endpoint, endpoint of the same cloud
// an hour later, key id, secret, "v1" or "v4". Prints one JSON object: what each step saw. Run by test_judge_ali_oss.py.
'use strict';
const { createRequire } = require('node:module');
const http = require('node:http');
const path = require('node:path');
const { Readable } = require('node:stream');
const [, , home, endpoint, fastEndpoint, accessKeyId, accessKeySecret, authorizationV4] = process.argv;
const load = createRequire(path.join(home, 'package.json'));
const OSS = load('ali-oss');
// Only the SDK's client for browsers, which runs here as well, sets its clock by the server's.
globalThis.location = { protocol: 'http:' };
const BrowserOSS = load('ali-oss/lib/browser');

const options = {
  endpoint, accessKeyId, accessKeySecret, bucket: 'demo', region: 'oss-cn-hangzhou', secure: false,
  authorizationV4: authorizationV4 === 'v4',
};
const store = new OSS(options);

async function failure(call) {
  try {
    await call();
  } catch (error) {
    return { status: error.status, code: error.code, requestId: Boolean(error.requestId), ec: error.ecCode };
  }
  return null;
}

function fetchHere(text) {
  const url = new URL(text);
  return new Promise((resolve, reject) => {
    http.get(endpoint + url.pathname + url.search, { headers: { host: url.host } }, answer => {
      const chunks = [];
      answer.on('data', chunk => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks).toString()));
    }).on('error', reject);
  });
}

async function main() {
  const seen = {};
  await store.putBucket('demo');
  const key = 'dir/文 件+.txt';
  const put = await store.put(key, Buffer.from('hello world'), { meta: { owner: 'me' }, mime: 'text/x' });
  seen.put = { status: put.res.status, etag: put.res.headers.etag };
  const got = await store.get(key);
  seen.get = { content: got.content.toString(), type: got.res.headers['content-type'] };
  seen.range = (await store.get(key, { headers: { Range: 'bytes=2-4' } })).content.toString();
  const head = await store.head(key);
  seen.head = { status: head.status, meta: head.meta, size: head.res.headers['content-length'] };
  const stream = await store.getStream(key);
  const chunks = [];
  for await (const chunk of stream.stream) chunks.push(chunk);
  seen.stream = Buffer.concat(chunks).toString();
  await store.putStream('streamed', Readable.from([Buffer.from('in '), Buffer.from('pieces')]));
  seen.streamed = (await store.get('streamed')).content.toString();

  seen.missing = await failure(() => store.get('nothing'));
  seen.missingHead = await failure(() => store.head('nothing'));
  seen.noBucket = await failure(() => new OSS({ ...options, bucket: 'absent-bucket' }).list());

  for (const name of ['a/1', 'a/2', 'b c', 'b+d', '文']) await store.put(name, Buffer.from(name));
  const listed = await store.list({ 'max-keys': 3 });
  seen.list = { names: listed.objects.map(o => o.name), truncated: listed.isTruncated, marker: listed.nextMarker };
  const all = [];
  let marker;
  do {
    const page = await store.list(marker ? { 'max-keys': 2, marker } : { 'max-keys': 2 });
    all.push(...page.objects.map(o => o.name));
    marker = page.nextMarker;
  } while (marker);
  seen.all = all;
  const grouped = await store.listV2({ delimiter: '/', 'max-keys': 1000 });
  seen.grouped = { prefixes: grouped.prefixes, count: grouped.keyCount };

  const copied = await store.copy('copy of+it', key, { meta: { b: '2' } });
  seen.copied = { status: copied.res.status, meta: (await store.head('copy of+it')).meta };
  await store.putMeta(key, { changed: 'yes' });
  seen.putMeta = (await store.head(key)).meta;

  const part = Buffer.alloc(102400, 'a');
  const upload = await store.initMultipartUpload('parts');
  const parts = [];
  for (const number of [1, 2, 3]) {
    const sent = await store._uploadPart('parts', upload.uploadId, number, {
      stream: Readable.from([part]), size: part.length,
    });
    parts.push({ number, etag: sent.res.headers.etag });
  }
  seen.listParts = (await store.listParts('parts', upload.uploadId)).parts.length;
  seen.uploads = (await store.listUploads({})).uploads.map(u => u.name);
  const done = await store.completeMultipartUpload('parts', upload.uploadId, parts);
  seen.complete = { etag: done.etag, size: (await store.head('parts')).res.headers['content-length'] };
  const big = await store.multipartUpload('big', Buffer.alloc(1024 * 1024 + 5, 'z'), { partSize: 256 * 1024, parallel: 3 });
  seen.big = { etag: big.etag, size: (await store.head('big')).res.headers['content-length'] };
  const dropped = await store.initMultipartUpload('dropped');
  await store.abortMultipartUpload('dropped', dropped.uploadId);
  seen.aborted = await failure(() => store.listParts('dropped', dropped.uploadId));

  let position = 0;
  const appended = [];
  for (const text of ['one', 'two']) {
    const result = await store.append('log', Buffer.from(text), { position });
    position = result.nextAppendPosition;
    appended.push(result.nextAppendPosition);
  }
  seen.append = { appended, content: (await store.get('log')).content.toString() };
  seen.wrongPosition = await failure(() => store.append('log', Buffer.from('x'), { position: 1 }));

  await store.putSymlink('link', 'streamed', { storageClass: 'IA', meta: { via: 'link' } });
  const link = await store.getSymlink('link');
  seen.symlink = { target: link.targetName, content: (await store.get('link')).content.toString() };

  await store.putACL('streamed', 'public-read');
  seen.acl = (await store.getACL('streamed')).acl;
  await store.putObjectTagging('streamed', { a: '1', b: '2' });
  seen.tags = (await store.getObjectTagging('streamed')).tag;
  await store.deleteObjectTagging('streamed');
  seen.noTags = (await store.getObjectTagging('streamed')).tag;
  seen.meta = (await store.getObjectMeta('streamed')).status;

  // The SDK signs no URL for an IP address: signed for the public endpoint, asked of the server here.
  const named = new OSS({ ...options, endpoint: 'http://oss-cn-hangzhou.aliyuncs.com' });
  seen.url = await fetchHere(named.signatureUrl(key, { expires: 60 }));
  seen.urlV4 = await fetchHere(await named.signatureUrlV4('GET', 60, { headers: {} }, key));

  seen.deleteMulti = (await store.deleteMulti(['a/1', 'a/2', 'b c'])).deleted.length;
  seen.quiet = (await store.deleteMulti(['b+d'], { quiet: true })).res.status;

  await store.putBucketVersioning('demo', 'Enabled');
  seen.versioning = (await store.getBucketVersioning('demo')).versionStatus;
  const first = (await store.put('versioned', Buffer.from('1'))).res.headers['x-oss-version-id'];
  const second = (await store.put('versioned', Buffer.from('2'))).res.headers['x-oss-version-id'];
  await store.delete('versioned');
  seen.deleted = await failure(() => store.get('versioned'));
  seen.old = (await store.get('versioned', null, { versionId: first })).content.toString();
  const versions = await store.getBucketVersions({ prefix: 'versioned' });
  seen.versions = {
    objects: versions.objects.map(o => o.versionId === first ? 1 : o.versionId === second ? 2 : 0),
    markers: versions.deleteMarker.length,
  };
  await store.delete('versioned', { versionId: versions.deleteMarker[0].versionId });
  seen.restored = (await store.get('versioned')).content.toString();

  seen.buckets = (await store.listBuckets()).buckets.map(b => b.name);
  seen.info = (await store.getBucketInfo('demo')).bucket.Name;
  seen.location = (await store.getBucketLocation('demo')).location;

  const skewed = new BrowserOSS({ ...options, endpoint: fastEndpoint });
  seen.skewed = (await skewed.get('streamed')).content.toString();
  seen.skewSeconds = Math.round(skewed.options.amendTimeSkewed / 1000);
  seen.skewedNode = await failure(() => new OSS({ ...options, endpoint: fastEndpoint }).get('streamed'));
  console.log(JSON.stringify(seen));
}

main().catch(error => { console.error(error); process.exit(1); });
