#!/usr/bin/python3
"""Golden vectors for psa parity tests. All expected outputs are produced by numpy/scipy/scikit-learn/PyOD code itself.
Run: /usr/bin/python3 gen_golden.py [NAME.json ...]   (Debian 12: numpy 1.24.2, scipy 1.10.1, scikit-learn 1.2.1, pandas 1.5.3)
It writes the named files, or else those that are already there, beside itself. All come from one random stream, so every
part is computed whatever is written; only the last, ecod.json, needs PyOD's source, at pyod-src beside this script, and is
left as it is without (pyod_max_diff of versions.json too)."""
import json,os,sys,types,warnings; warnings.filterwarnings('ignore')
import numpy as np,scipy,sklearn
from scipy import signal,stats
OUT=os.path.dirname(os.path.abspath(__file__))+'/'
NAMED=sys.argv[1:]
def wanted(n): return n in NAMED if NAMED else os.path.exists(OUT+n)
def R(x):
    if isinstance(x,(float,np.floating)) and not np.isfinite(x): return None
    if isinstance(x,dict): return {k:R(v) for k,v in x.items()}
    if isinstance(x,(list,tuple)): return [R(v) for v in x]
    if isinstance(x,np.ndarray): return R(x.tolist())
    if isinstance(x,np.floating): return float(x)
    if isinstance(x,np.integer): return int(x)
    return x
def dump(n,o):
    if not wanted(n): return
    s=json.dumps(R(o),separators=(',',':'))
    with open(OUT+n,'w') as f: f.write(s+'\n')
    print(n,len(s))
rng=np.random.default_rng(20240601)
# ---------- signals
fs=100.0; n=400; t=np.arange(n)/fs
x=np.round(1.2+np.sin(2*np.pi*5*t)+.5*np.sin(2*np.pi*23*t+.3)+.2*rng.standard_normal(n),6)
# ---------- 1 butter + sosfilt
cases=[]
for order,btype,wn in [(1,'lowpass',10.),(2,'lowpass',10.),(3,'lowpass',5.),(4,'lowpass',10.),(4,'highpass',2.),(5,'highpass',20.),(8,'lowpass',30.),(2,'bandpass',[4.,12.]),(4,'bandpass',[4.,12.]),(3,'bandstop',[22.,24.]),(4,'bandstop',[10.,20.]),(6,'lowpass',.5)]:
    sos=signal.butter(order,wn,btype,fs=fs,output='sos'); y=signal.sosfilt(sos,x)
    zi=signal.sosfilt_zi(sos); y2,_=signal.sosfilt(sos,x,zi=zi*x[0]); yf=signal.sosfiltfilt(sos,x)
    cases.append(dict(order=order,btype=btype,wn=wn,fs=fs,sos=sos,sosfilt_zi=zi,y_sosfilt=y[:160],y_sosfilt_zi_x0=y2[:160],y_sosfiltfilt=yf))
z,p,k=signal.iirnotch(25.,30.,fs=fs) if False else (None,None,None)
b,a=signal.iirnotch(25.,30.,fs=fs)
dump('butter_sosfilt.json',dict(x=x,cases=cases,iirnotch=dict(w0=25.,Q=30.,fs=fs,b=b,a=a,y_lfilter=signal.lfilter(b,a,x)[:160])))
# ---------- 2 resample/decimate
dump('resample.json',dict(x=x,fs=fs,cases=[
 dict(fn='resample_poly',up=u,down=d,window=['kaiser',5.0],padtype='constant',y=signal.resample_poly(x,u,d)) for u,d in [(1,2),(1,4),(2,1),(3,2),(2,5),(147,160)]]+[
 dict(fn='resample_poly_h',up=u,down=d,h=signal.firwin(2*10*max(u,d)+1,1./max(u,d),window=('kaiser',5.0))) for u,d in [(1,2),(3,2)]]+[
 dict(fn='decimate',q=q,ftype=ft,zero_phase=zp,y=signal.decimate(x,q,ftype=ft,zero_phase=zp)) for q in (2,5) for ft in ('iir','fir') for zp in (True,False)]+[
 dict(fn='decimate_cheby1_sos',q=q,sos=signal.cheby1(8,.05,.8/q,output='sos')) for q in (2,5)]))
# ---------- 3 features
def feats(w,fs):
    w=np.asarray(w,float); N=len(w); m=w.mean(); d=w-m
    F=np.fft.rfft(w); f=np.fft.rfftfreq(N,1/fs); mag=np.abs(F); P=mag**2
    Fd=np.fft.rfft(d); Pd=np.abs(Fd)**2
    one=P.copy(); one[1:]*=2
    if N%2==0: one[-1]/=2
    pn=Pd/Pd.sum() if Pd.sum()>0 else Pd
    q=pn[pn>0]
    cs=np.cumsum(mag)
    o=dict(n=N,mean=m,std_pop=w.std(),std_samp=w.std(ddof=1),var_pop=w.var(),rms=np.sqrt(np.mean(w*w)),min=w.min(),max=w.max(),peak=np.abs(w).max(),p2p=np.ptp(w),
     crest=np.abs(w).max()/np.sqrt(np.mean(w*w)) if np.any(w) else float('nan'),
     shape=np.sqrt(np.mean(w*w))/np.mean(np.abs(w)) if np.any(w) else float('nan'),
     impulse=np.abs(w).max()/np.mean(np.abs(w)) if np.any(w) else float('nan'),
     clearance=np.abs(w).max()/np.mean(np.sqrt(np.abs(w)))**2 if np.any(w) else float('nan'),
     skew_biased=stats.skew(w),skew_unbiased=stats.skew(w,bias=False),kurt_fisher_biased=stats.kurtosis(w),kurt_pearson_biased=stats.kurtosis(w,fisher=False),kurt_fisher_unbiased=stats.kurtosis(w,bias=False),
     median=np.median(w),q05=np.quantile(w,.05),q25=np.quantile(w,.25),q75=np.quantile(w,.75),q95=np.quantile(w,.95),iqr=stats.iqr(w),mad_raw=stats.median_abs_deviation(w),mean_abs_dev=np.mean(np.abs(d)),
     energy=np.sum(w*w),abs_sum_changes=np.sum(np.abs(np.diff(w))),line_length=np.sum(np.abs(np.diff(w))),
     zc_signbit=int(np.count_nonzero(np.diff(np.signbit(w)))),zc_mean_signbit=int(np.count_nonzero(np.diff(np.signbit(d)))),zc_tsfel=int(len(np.where(np.diff(np.sign(w)))[0])),zcr_mean=np.count_nonzero(np.diff(np.signbit(d)))/(N-1),
     rfft_re=F.real,rfft_im=F.imag,power_raw=P,spec_energy_parseval=float(one.sum()/N),spec_energy_noDC=float(one[1:].sum()/N),
     centroid_mag_tsfel=float((f*mag).sum()/mag.sum()) if mag.sum() else 0.0,centroid_power_noDC=float((f*Pd).sum()/Pd.sum()) if Pd.sum() else 0.0,
     entropy_power_demeaned_nat=float(-(q*np.log(q)).sum()),entropy_power_demeaned_bits_norm_tsfel=float(-(q*np.log2(q)).sum()/np.log2(len(q))) if len(q)>1 else 0.0,
     rolloff95_mag_tsfel=float(f[np.where(cs>.95*cs[-1])[0][0]]) if cs[-1]>0 else 0.0,zc_tsfresh_gt0=int(np.where(np.bitwise_xor((w>0)[1:],(w>0)[:-1]))[0].size),zc_tsfresh_gt_mean=int(np.where(np.bitwise_xor((w>m)[1:],(w>m)[:-1]))[0].size),dominant_freq_noDC=float(f[np.argmax(P[1:])+1]),
     spread_power_demeaned=float(np.sqrt((((f-(f*Pd).sum()/Pd.sum())**2)*Pd).sum()/Pd.sum())) if Pd.sum() else 0.0)
    if N<=128: pass
    return o
wins=[]
def addw(name,w,fs): 
    o=feats(w,fs)
    if len(w)>130: o.pop('rfft_re');o.pop('rfft_im');o.pop('power_raw')
    wins.append(dict(name=name,fs=fs,x=np.asarray(w,float),expected=o))
addw('sines100',x[:100],100.); addw('gauss128',np.round(rng.standard_normal(128),6),100.); addw('odd99',np.round(rng.standard_normal(99)*3-1,6),50.)
addw('impulsive256',np.round(rng.standard_normal(256)*.1+(np.arange(256)%32==0)*2.,6),1000.); addw('constant64',np.full(64,3.5),10.); addw('zeros64',np.zeros(64),10.); addw('bigoffset',1e6+np.round(rng.standard_normal(100),6),100.)
addw('withzeros20',np.array([0,1,0,-1,0,0,2,-2,0,1,-1,1,0,0,0,-3,3,0,-0.0,1.]),20.); addw('prime101',np.round(np.cos(np.arange(101)*.7),6),100.)
ma=np.convolve(x[:100],np.ones(5)/5,'valid')
import pandas as pd
dump('features.json',dict(windows=wins,moving_average=dict(x=x[:100],w=5,valid=ma,ewm_alpha03_adjust_false=pd.Series(x[:100]).ewm(alpha=.3,adjust=False).mean().values,ewm_alpha03_adjust_true=pd.Series(x[:100]).ewm(alpha=.3,adjust=True).mean().values)))
# ---------- 4 welch / envelope
y=np.round(np.sin(2*np.pi*50*np.arange(2000)/1000.)+.3*rng.standard_normal(2000),6)
W=[]
for kw in (dict(nperseg=256),dict(nperseg=256,noverlap=128,window='hann',detrend='constant',scaling='density'),dict(nperseg=200,noverlap=50,window='hamming',detrend=False,scaling='spectrum'),dict(nperseg=512,detrend='linear'),dict(nperseg=256,average='median')):
    f,P=signal.welch(y,1000.,**kw); W.append(dict(args=kw,f=f,P=P))
dump('welch.json',dict(x=y,fs=1000.,cases=W,hann_sym_false_8=signal.get_window('hann',8),hamming_sym_false_8=signal.get_window('hamming',8)))
fsv=12000.; nv=6000; tv=np.arange(nv)/fsv; imp=np.zeros(nv); 
for k in range(200):
    i0=int(round((k/107.3+0.0005*rng.standard_normal()*0)*fsv))
    if i0<nv: imp[i0]=1.
ring=np.exp(-800*tv[:200])*np.sin(2*np.pi*3500*tv[:200]); v=np.round(np.convolve(imp,ring)[:nv]+.05*rng.standard_normal(nv),5)
sos=signal.butter(4,[2000,5500],'bandpass',fs=fsv,output='sos'); vb=signal.sosfiltfilt(sos,v); env=np.abs(signal.hilbert(vb)); e=env-env.mean(); win=signal.get_window('hann',nv); A=np.abs(np.fft.rfft(e*win))*2/win.sum(); fr=np.fft.rfftfreq(nv,1/fsv)
vb1=signal.sosfilt(sos,v); env1=np.abs(signal.hilbert(vb1))
dump('envelope.json',dict(x=v,fs=fsv,band=[2000,5500],order=4,sos=sos,note='y=sosfiltfilt(sos,x); env=|hilbert(y)|; e=env-mean; A=2|rfft(e*hann_periodic)|/sum(w)',envelope_first400=env[:400],f_first300=fr[:300],A_first300=A[:300],peak_f=float(fr[1:300][np.argmax(A[1:300])]),expected_f=107.3,causal_envelope_first200=env1[:200]))
# ---------- 5 scaler / isolation forest
from sklearn.preprocessing import StandardScaler,RobustScaler,MinMaxScaler
from sklearn.ensemble import IsolationForest
from sklearn.decomposition import PCA
X=rng.standard_normal((400,6))@np.diag([1,2,.5,1,10,.01])+np.array([0,5,-3,100,1e3,1e-3]); X[:8]+=6*np.sign(rng.standard_normal((8,6)))*X.std(0); X=np.round(X,6)
Xt=np.round(np.vstack([rng.standard_normal((180,6))@np.diag([1,2,.5,1,10,.01])+np.array([0,5,-3,100,1e3,1e-3]),rng.uniform(-1,1,(20,6))*np.array([6,12,3,6,60,.06])+np.array([0,5,-3,100,1e3,1e-3])]),6)
ss=StandardScaler().fit(X); Xc=X.copy(); Xc[:,2]=7.0; sc=StandardScaler().fit(Xc); rs=RobustScaler().fit(X); mm=MinMaxScaler().fit(X)
dump('scaler.json',dict(X=X[:60],standard=(lambda s:dict(mean=s.mean_,var=s.var_,scale=s.scale_,Z=s.transform(X[:60])[:10]))(StandardScaler().fit(X[:60])),standard_const_col=(lambda s:dict(mean=s.mean_,var=s.var_,scale=s.scale_))(StandardScaler().fit(Xc[:60])),robust=(lambda s:dict(center=s.center_,scale=s.scale_))(RobustScaler().fit(X[:60])),minmax=(lambda s:dict(min=s.data_min_,max=s.data_max_,scale=s.scale_,min_=s.min_))(MinMaxScaler().fit(X[:60]))))
def forest(clf):
    return dict(n_estimators=len(clf.estimators_),max_samples=int(clf.max_samples_),offset=float(clf.offset_),trees=[dict(children_left=e.tree_.children_left,children_right=e.tree_.children_right,feature=e.tree_.feature,threshold=[float(q) for q in e.tree_.threshold],n_node_samples=e.tree_.n_node_samples) for e in clf.estimators_])
from sklearn.ensemble._iforest import _average_path_length
clf=IsolationForest(n_estimators=30,max_samples=128,contamination='auto',random_state=7).fit(X)
clf2=IsolationForest(n_estimators=30,max_samples=128,contamination=0.05,random_state=7).fit(X)
dep=np.array([[int(e.tree_.decision_path(Xt[:5].astype(np.float32))[i].sum()) for e in clf.estimators_] for i in range(5)])
# inputs that sit exactly on / between float32 neighbours of a root threshold
edge=[];root=clf.estimators_[0].tree_; f0=int(root.feature[0]); th=float(root.threshold[0])
for dv in (th,float(np.float32(th)),float(np.nextafter(np.float32(th),np.float32(-np.inf))),float(np.nextafter(np.float32(th),np.float32(np.inf))),np.nextafter(th,np.inf),np.nextafter(th,-np.inf)):
    r=X.mean(0).copy(); r[f0]=dv; edge.append(r)
edge=np.array(edge)
dump('iforest.json',dict(X_train=X,forest=forest(clf),inputs=Xt,score_samples=clf.score_samples(Xt),decision_function=clf.decision_function(Xt),predict=clf.predict(Xt),offset_contamination_005=float(clf2.offset_),decision_function_contamination_005=clf2.decision_function(Xt),predict_contamination_005=clf2.predict(Xt),path_node_counts_first5=dep,edge_inputs=edge,edge_feature=f0,edge_threshold=th,edge_score_samples=clf.score_samples(edge),average_path_length={str(k):float(_average_path_length([k])[0]) for k in (1,2,3,4,5,10,50,100,128,255,256)}))
# ---------- 7 PCA T2/Q
p=PCA(n_components=.85,svd_solver='full').fit(ss.transform(X)); Tt=p.transform(ss.transform(Xt)); t2=(Tt**2/p.explained_variance_).sum(1); q=((ss.transform(Xt)-Tt@p.components_)**2).sum(1)
dump('pca_t2q.json',dict(note='X_train and inputs as in iforest.json; StandardScaler then PCA(0.85); sign of components is arbitrary',mean=ss.mean_,scale=ss.scale_,n_components=int(p.n_components_),explained_variance=p.explained_variance_,explained_variance_ratio=p.explained_variance_ratio_,components=p.components_,T2=t2,Q=q))
# ---------- 6 ECOD (PyOD column_ecdf + decision_function code executed from source)
mxd=None
if os.path.exists(OUT+'versions.json'): mxd=json.load(open(OUT+'versions.json')).get('pyod_max_diff')
if not os.path.exists(OUT+'pyod-src'):
    if 'ecod.json' in NAMED: sys.exit('ecod.json needs the source of PyOD at '+OUT+'pyod-src')
else:
    src=open(OUT+'pyod-src/pyod/utils/stat_models.py').read()
    mod=types.ModuleType('sm'); exec(compile(src,'stat_models.py','exec'),mod.__dict__)
    column_ecdf=mod.column_ecdf
    from scipy.stats import skew as skew_sp
    def pyod_ecod_scores(X):   # body of pyod.models.ecod.ECOD.decision_function (n_jobs=1, during fit)
        U_l=-1*np.log(column_ecdf(X)); U_r=-1*np.log(column_ecdf(-X)); sk=np.sign(np.nan_to_num(skew_sp(X,axis=0)))
        U_s=U_l*-1*np.sign(sk-1)+U_r*np.sign(sk+1); O=np.maximum(U_l,U_r); O=np.maximum(U_s,O); return O.sum(axis=1).ravel(),U_l,U_r,sk,O
    E=rng.standard_normal((500,6)); E[:,1]=np.exp(E[:,1]); E[:,2]=-np.exp(E[:,2]*.7); E[:,3]=np.round(E[:,3]*2); E[:,4]=np.round(E[:,4],1); E[:,5]=np.where(np.arange(500)%2==0,1.0,-1.0); E[:10,0]+=6; E=np.round(E,5)
    s,Ul,Ur,sk,O=pyod_ecod_scores(E)
    mxd=None
    try:
        sys.path.insert(0,OUT+'pyod-src'); 
        from pyod.models.ecod import ECOD as PE
        pe=PE(contamination=.05).fit(E); mxd=float(np.abs(pe.decision_scores_-s).max()); thr=float(pe.threshold_); lab=pe.labels_; new=np.round(rng.standard_normal((20,6))*2,5); dnew=pe.decision_function(new)
        print('PyOD import ok; max diff',mxd)
    except Exception as ex:
        print('pyod import failed',repr(ex)); thr=float(np.percentile(s,95)); lab=(s>thr).astype(int); new=np.round(rng.standard_normal((20,6))*2,5); s2,_,_,_,_=pyod_ecod_scores(np.vstack([E,new])); dnew=s2[-20:]
    pre={str(m):dict(score_of_row_m_minus_1=float(pyod_ecod_scores(E[:m])[0][m-1]),threshold05=float(np.percentile(pyod_ecod_scores(E[:m])[0],95))) for m in (2,3,10,50,100,250,499,500)}
    # paper's variant (Li et al. 2022): per-row max of the three aggregated tails
    def paper(X):
        U_l=-np.log(column_ecdf(X));U_r=-np.log(column_ecdf(-X)); sk=np.nan_to_num(skew_sp(X,axis=0)); U_a=np.where(sk<0,U_l,U_r); return np.maximum(np.maximum(U_l.sum(1),U_r.sum(1)),U_a.sum(1))
    dump('ecod.json',dict(X=E,skew_sign=sk,skew=skew_sp(E,axis=0),decision_scores=s,O_first5=O[:5],contamination=.05,threshold=thr,labels=lab,new_rows=new,decision_function_new_rows_batch20=dnew,note_new='PyOD concatenates the 500 training rows and ALL 20 new rows before computing the ECDFs',prefix=pre,paper_variant_scores=paper(E)))
if wanted('versions.json'):
    with open(OUT+'versions.json','w') as f: json.dump(dict(numpy=np.__version__,scipy=scipy.__version__,sklearn=sklearn.__version__,pyod_max_diff=mxd),f)
